import { parseDuration } from '@keelson/core';
import type { Token } from '@keelson/protocol';
import { ROLES } from '@keelson/protocol';
import { allItems } from '@keelson/sdk/client';
import type { Command } from 'commander';
import { Option } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { onDatabase, requiredDatabaseUrl, withDatabaseUrl } from '../database-access.ts';
import { usageFailure } from '../failure.ts';
import { parseRunTime } from '../start-options.ts';
import { tableLines } from '../terminal/table.ts';
import type { Paint, Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines, remark } from '../terminal/terminal.ts';
import { localTime, plain } from '../terminal/text.ts';

interface CreateOptions extends ConnectedOptions {
  readonly role: (typeof ROLES)[number];
  readonly name?: string;
  readonly expires?: string;
  readonly databaseUrl?: string;
}

export function define(command: Command, terminal: Terminal): void {
  command.description('Access tokens. Each has a role; the token itself is shown once, when it is created.');
  withDatabaseUrl(connected(command.command('create')))
    .description(
      'Creates a token and prints it. The first one of a database is made with --database-url, without a server.',
    )
    .addOption(new Option('--role <role>', 'what it may do').choices(ROLES).makeOptionMandatory())
    .option('--name <name>', 'a name to know it by (default: its role)')
    .option('--expires <when>', 'a duration (30d, 12h) or a time (2027-01-31)')
    .action(async (options: CreateOptions) => create(terminal, options));
  connected(command.command('list'))
    .description('Lists the tokens, without their values.')
    .action(async (options: ConnectedOptions) => list(terminal, options));
  connected(command.command('revoke'))
    .argument('<id>', 'its id, as "token list" shows it')
    .description('Revokes a token at once.')
    .action(async (id: string, options: ConnectedOptions) => revoke(terminal, id, options));
  examples(command, [
    ['keelson token create --role admin --database-url postgresql://keelson@db/keelson', 'the first one'],
    ['keelson token create --role worker --name build-hosts > worker.token', 'one for workers'],
    ['keelson token create --role operator --expires 30d', 'one that ends by itself'],
  ]);
}

async function create(terminal: Terminal, options: CreateOptions): Promise<void> {
  const name = options.name ?? options.role;
  const token =
    options.databaseUrl === undefined
      ? await createOverRest(terminal, name, options)
      : await createDirectly(terminal, name, options);
  if (options.json === true) return printJson(terminal, token);
  printLines(terminal, token.token);
  remark(terminal, `This is shown only once. Use it as KEELSON_TOKEN.`);
}

async function createOverRest(terminal: Terminal, name: string, options: CreateOptions) {
  const expiresAt = options.expires === undefined ? undefined : parseExpiry(options.expires, Date.now());
  const client = await connect(terminal, options);
  return client.createToken({ name, role: options.role, ...(expiresAt !== undefined && { expiresAt }) });
}

async function createDirectly(terminal: Terminal, name: string, { role, expires, databaseUrl }: CreateOptions) {
  if (expires !== undefined)
    throw usageFailure(
      '--expires does not go with --database-url',
      'make the first token without it; later ones through the server',
    );
  const url = requiredDatabaseUrl(terminal, databaseUrl);
  const { createToken } = await import('@keelson/server');
  return { name, role, token: await onDatabase(url, () => createToken({ databaseUrl: url, role, name })) };
}

/** A duration from now on, or a time. Throws a usage failure for anything else, and for a time that is over. */
export function parseExpiry(text: string, now: number): string {
  const duration = parseDuration(text);
  if (duration !== undefined) return new Date(now + duration).toISOString();
  const time = parseRunTime(text, '--expires');
  if (Date.parse(time) <= now) throw usageFailure(`--expires ${text}: that time is over`);
  return time;
}

async function list(terminal: Terminal, options: ConnectedOptions): Promise<void> {
  const client = await connect(terminal, options);
  const items: Token[] = [];
  for await (const item of allItems((cursor) => client.listTokens({ cursor }))) items.push(item);
  if (options.json === true) return printJson(terminal, items);
  const paint = painter(terminal.stdout, terminal.env);
  const rows = items.map((item) => [
    item.id,
    plain(item.name),
    item.role,
    localTime(item.createdAt),
    validity(item, paint, Date.now()),
  ]);
  printLines(terminal, tableLines(terminal, ['ID', 'NAME', 'ROLE', 'CREATED', 'VALID'], rows));
}

function validity({ revokedAt, expiresAt }: Token, paint: Paint, now: number): string {
  if (revokedAt !== null) return paint('dim', `revoked ${localTime(revokedAt)}`);
  if (expiresAt === null) return paint('green', 'yes');
  return Date.parse(expiresAt) <= now
    ? paint('dim', `expired ${localTime(expiresAt)}`)
    : paint('green', `until ${localTime(expiresAt)}`);
}

async function revoke(terminal: Terminal, id: string, options: ConnectedOptions): Promise<void> {
  const client = await connect(terminal, options);
  await client.revokeToken(id);
  if (options.json === true) printJson(terminal, { id });
  else printLines(terminal, `Token ${id} is revoked`);
}
