import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { ServerRole } from '@keelson/server';
import type { Command } from 'commander';
import { Option } from 'commander';
import { collect, examples, integer } from '../command.ts';
import { onDatabase, requiredDatabaseUrl, withDatabaseUrl } from '../database-access.ts';
import { CliFailure, systemErrorCode, usageFailure } from '../failure.ts';
import { listenFailure, parseListen } from '../listen-address.ts';
import type { LogLevelName } from '../server-log.ts';
import { LOG_LEVELS, jsonLog } from '../server-log.ts';
import { oneOf } from '../start-options.ts';
import { stopOnSignal } from '../stop-signals.ts';
import type { Terminal } from '../terminal/terminal.ts';

interface ServeOptions {
  readonly roles: string;
  readonly databaseUrl?: string;
  readonly listen: string;
  readonly advertise?: string;
  readonly grace: number;
  readonly blobs?: string;
  readonly alertWebhook?: readonly string[];
  readonly logLevel: LogLevelName;
}

export function define(command: Command, terminal: Terminal): void {
  withDatabaseUrl(command)
    .description(
      'Runs server roles on a PostgreSQL whose schema is up to date ("keelson migrate"). Logs JSON lines. Ctrl-C or SIGTERM drains it: /readyz says so, workers are sent to other servers, and what is under way is committed. A second one ends it at once, which loses nothing either.',
    )
    .option('--roles <list>', 'any of api, master, alert', 'api,master,alert')
    .option('--listen <host:port>', 'where to listen', '127.0.0.1:7400')
    .option(
      '--advertise <url>',
      'where workers reach this server; the servers tell workers of all that say so (default: they are not told)',
    )
    .option('--grace <seconds>', 'how long what is under way may take after the first signal', integer(0, 3600), 30)
    .option(
      '--blobs <url>',
      'where files and artifacts are kept: file:///shared or s3://bucket/prefix (default: PostgreSQL)',
    )
    .option('--alert-webhook <url>', 'send alerts there; may be given several times', collect)
    .addOption(new Option('--log-level <level>', 'how much to log').choices(LOG_LEVELS).default('info'))
    .action(async (options: ServeOptions) => serve(terminal, options))
    .addHelpText(
      'after',
      '\nKEELSON_SECRET_KEY or KEELSON_SECRET_KEY_FILE must hold the key that encrypts secrets: 32 bytes in base64 or hex.',
    );
  examples(command, [
    [
      'keelson serve --roles api,master --listen 0.0.0.0:7400',
      'KEELSON_DATABASE_URL and the key are in the environment',
    ],
    ['keelson serve --listen 0.0.0.0:7400 --advertise http://a.example:7400', 'one of several servers'],
  ]);
}

async function serve(terminal: Terminal, options: ServeOptions): Promise<void> {
  const url = requiredDatabaseUrl(terminal, options.databaseUrl);
  const listen = parseListen(options.listen);
  const secretKey = await readSecretKey(terminal);
  const webhooks = (options.alertWebhook ?? []).map((text) => httpUrl('--alert-webhook', text));
  const advertise = options.advertise === undefined ? undefined : httpUrl('--advertise', options.advertise);
  const { ROLES, startServer } = await import('@keelson/server');
  const roles = readRoles(options.roles, ROLES);
  const log = jsonLog(terminal.stdout, options.logLevel);
  const stop = stopOnSignal(terminal, `Draining: what is under way has ${options.grace} s. Again: end at once.`);
  try {
    const start = () =>
      startServer({
        roles,
        databaseUrl: url,
        listen,
        secretKey,
        webhooks,
        log,
        ...(advertise !== undefined && { advertise }),
        ...(options.blobs !== undefined && { blobs: options.blobs }),
      });
    const server = await onDatabase(url, start).catch((error: unknown) => {
      throw listenFailure(error, listen);
    });
    log.info({ url: server.url, roles }, 'ready');
    await stop.asked;
    log.info({ graceSeconds: options.grace }, 'draining');
    await server.stop(options.grace * 1000);
    log.info('stopped');
  } finally {
    stop.release();
  }
}

function readRoles(text: string, known: readonly ServerRole[]): ServerRole[] {
  const roles = text.split(',').map((role) => oneOf('--roles', role.trim(), known));
  return [...new Set(roles)];
}

/** From the environment or a file: never from the command line. */
async function readSecretKey({ env, cwd }: Terminal): Promise<string> {
  const key = env['KEELSON_SECRET_KEY'];
  const file = env['KEELSON_SECRET_KEY_FILE'];
  if (key !== undefined && key !== '') return key;
  if (file === undefined || file === '') {
    throw new CliFailure(
      'no-secret-key',
      'there is no key to encrypt secrets with: set KEELSON_SECRET_KEY or KEELSON_SECRET_KEY_FILE',
      {
        advice: 'openssl rand -base64 32 makes one; keep it as safe as the database',
      },
    );
  }
  try {
    return (await readFile(resolve(cwd, file), 'utf8')).trim();
  } catch (error) {
    throw new CliFailure(
      'no-secret-key',
      `KEELSON_SECRET_KEY_FILE ${file}: cannot be read (${systemErrorCode(error) ?? String(error)})`,
    );
  }
}

function httpUrl(option: string, text: string): string {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw usageFailure(`${option} ${JSON.stringify(text)} is no http or https URL`);
  return text;
}
