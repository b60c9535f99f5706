import type { PutDatasourceRequest } from '@keelson/protocol';
import { parseDatasourceUrl } from '@keelson/tasks';
import { usageFailure } from './failure.ts';

export const DATASOURCE_KINDS = ['postgresql', 'mysql'] as const;

/** What the flags say; all of it but the password. */
export interface DatasourceFlags {
  readonly kind?: (typeof DATASOURCE_KINDS)[number] | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly database?: string | undefined;
  readonly user?: string | undefined;
  readonly tls?: boolean | undefined;
}

/** A URL with the flags over it. `password` is there only when the URL has one. */
export function readDatasource(url: string | undefined, flags: DatasourceFlags): PutDatasourceRequest {
  const fromUrl = url === undefined ? {} : readUrl(url);
  const given = Object.fromEntries(
    Object.entries(flags).filter(([, value]) => value !== undefined),
  ) as Partial<PutDatasourceRequest>;
  const { kind, host, database, user, ...rest } = { ...fromUrl, ...given };
  const missing = Object.entries({ kind, host, database, user })
    .filter(([, value]) => value === undefined || value === '')
    .map(([name]) => `--${name}`);
  if (kind === undefined || host === undefined || database === undefined || user === undefined || missing.length > 0) {
    throw usageFailure(
      `the datasource lacks ${missing.join(', ')}`,
      'give a URL such as postgresql://user@host:5432/database, or these options',
    );
  }
  return { kind, host, database, user, ...rest };
}

/** A password must not stand on the command line, where every process of the machine can see it. */
export function refusePasswordInArgument(url: string): void {
  const parsed = URL.parse(url);
  if (parsed !== null && parsed.password !== '') {
    throw usageFailure(
      'the URL holds a password, and a command line is no place for one',
      'leave the password out: it is read from standard input (or give the whole URL there)',
    );
  }
}

function readUrl(text: string): Partial<PutDatasourceRequest> {
  const reading = parseDatasourceUrl(text);
  if (!reading.ok) throw usageFailure(`the URL of the datasource: ${reading.message}`);
  const { kind, host, port, database, user, password, tls } = reading.datasource;
  return {
    kind,
    host,
    port,
    database,
    user,
    ...(tls !== undefined && { tls }),
    ...(password !== '' && { password }),
  };
}
