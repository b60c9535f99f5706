import type { Command } from 'commander';
import { EXIT } from './exit-codes.ts';
import { CliFailure, systemErrorCode, usageFailure } from './failure.ts';
import type { Terminal } from './terminal/terminal.ts';

export const DATABASE_URL_VARIABLE = 'KEELSON_DATABASE_URL';

/** Adds `--database-url`. */
export function withDatabaseUrl(command: Command): Command {
  return command.option(
    '--database-url <url>',
    `the PostgreSQL to use (default: ${DATABASE_URL_VARIABLE}, which keeps a password off the command line)`,
  );
}

/** The option, else the variable, else undefined. Throws for a URL that is none of PostgreSQL. */
export function databaseUrl(terminal: Terminal, option: string | undefined): string | undefined {
  const url = option ?? terminal.env[DATABASE_URL_VARIABLE];
  if (url === undefined || url === '') return undefined;
  const parsed = URL.parse(url);
  if (parsed === null || !['postgres:', 'postgresql:'].includes(parsed.protocol)) {
    throw usageFailure('the database URL must look like postgresql://user:password@host:5432/database');
  }
  return url;
}

export function requiredDatabaseUrl(terminal: Terminal, option: string | undefined): string {
  const url = databaseUrl(terminal, option);
  if (url === undefined) throw usageFailure(`which database? Give --database-url, or set ${DATABASE_URL_VARIABLE}`);
  return url;
}

const UNREACHABLE: readonly string[] = [
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'ECONNRESET',
  'ENOENT',
];
/** SQLSTATE classes: connection exception, invalid authorization, unknown database, cannot connect now. */
const NO_ENTRY = /^(?:08|28|3D|57P0[123]|53300)/;

/** Does something on the database; a database that cannot be reached or entered becomes one clear line without its password. */
export async function onDatabase<Result>(url: string, use: () => Promise<Result>): Promise<Result> {
  try {
    return await use();
  } catch (error) {
    if (!isOfDatabase(error, new URL(url).hostname)) throw error;
    const why = error instanceof Error && error.message !== '' ? error.message : firstCode(error);
    throw new CliFailure('database-unreachable', `cannot use the database at ${place(url)}: ${why}`, {
      exitCode: EXIT.unreachable,
    });
  }
}

function isOfDatabase(error: unknown, host: string): boolean {
  // What pg says when the connection was not made in time: an error without a code.
  if (error instanceof Error && error.message === 'timeout expired') return true;
  const code = firstCode(error);
  if (code === undefined) return false;
  if (NO_ENTRY.test(code)) return true;
  // A folder that is missing, or a name to listen on that is none, is not the database's fault.
  const { syscall, hostname } = error as { readonly syscall?: string; readonly hostname?: string };
  if (syscall !== undefined && syscall !== 'connect' && !(syscall === 'getaddrinfo' && hostname === host)) return false;
  return UNREACHABLE.includes(code);
}

/** A host with two addresses fails with an AggregateError, whose own message is empty. */
function firstCode(error: unknown): string | undefined {
  if (error instanceof AggregateError && error.errors.length > 0)
    return systemErrorCode(error) ?? firstCode(error.errors[0]);
  return (
    systemErrorCode(error) ?? (error instanceof Error && error.cause !== undefined ? firstCode(error.cause) : undefined)
  );
}

function place(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}
