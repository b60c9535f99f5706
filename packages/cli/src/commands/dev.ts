import { availableParallelism } from 'node:os';
import { relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { Option } from 'commander';
import { directory, examples, integer, withJson } from '../command.ts';
import { DEFAULT_DATA_DIR } from '../connection/connect.ts';
import { CliFailure } from '../failure.ts';
import { listenFailure } from '../listen-address.ts';
import type { LogLevelName } from '../server-log.ts';
import { LOG_LEVELS, readableLog } from '../server-log.ts';
import { stopOnSignal } from '../stop-signals.ts';
import type { Paint, Terminal } from '../terminal/terminal.ts';
import { painter, remark } from '../terminal/terminal.ts';

interface DevCommandOptions {
  readonly port: number;
  readonly data: string;
  readonly masters: number;
  readonly workers: number;
  readonly slots: number;
  readonly logLevel: LogLevelName;
  readonly json?: true;
}

const HOST = '127.0.0.1';

export function define(command: Command, terminal: Terminal): void {
  withJson(command)
    .description(
      'Runs everything on this machine: api, master, alert and workers, on an embedded real PostgreSQL. With --json: prints one line {"url":…,"token":…} when it is ready. A server or worker process that dies is started again. Ctrl-C lets running tasks finish and stops everything; a second one stops at once.',
    )
    .option('--port <n>', 'where to listen on 127.0.0.1; 0 takes a free one', integer(0, 65_535), 7400)
    .option('--data <dir>', 'where everything is kept', directory, `./${DEFAULT_DATA_DIR}`)
    .option(
      '--masters <n>',
      'how many server processes, each with all roles; the first has the port',
      integer(1, 16),
      1,
    )
    .option('--workers <n>', 'how many worker processes', integer(1, 16), 1)
    .option(
      '--slots <n>',
      'how many tasks each worker runs at the same time',
      integer(1, 10_000),
      Math.max(4, 2 * availableParallelism()),
    )
    .addOption(
      new Option('--log-level <level>', 'how much to log on standard error').choices(LOG_LEVELS).default('warn'),
    )
    .action(async (options: DevCommandOptions) => dev(terminal, options));
  examples(command, [
    ['keelson dev', `on http://${HOST}:7400, data in ./${DEFAULT_DATA_DIR}`],
    ['keelson dev --masters 3 --workers 4', 'a cluster of processes on one machine'],
    ['keelson dev --port 0 --data /tmp/try --json', 'for a script'],
  ]);
}

async function dev(terminal: Terminal, options: DevCommandOptions): Promise<void> {
  const dataDir = resolve(terminal.cwd, options.data);
  const { startDev } = await import('@keelson/server');
  const log = readableLog(terminal.stderr, options.logLevel, painter(terminal.stderr, terminal.env));
  // Before the start: a Ctrl-C while it starts must also end in a clean stop.
  const stop = stopOnSignal(terminal, 'Stopping: running tasks may finish. Ctrl-C again: stop at once.');
  try {
    const running = await startDev({
      port: options.port,
      dataDir,
      masters: options.masters,
      workers: options.workers,
      slots: options.slots,
      log,
    }).catch((error: unknown) => {
      throw listenFailure(error, { host: HOST, port: options.port });
    });
    const announced =
      options.json === true
        ? JSON.stringify({ url: running.url, token: running.token })
        : banner(terminal, running, dataDir);
    terminal.stdout.write(`${announced}\n`);
    const trouble = await Promise.race([stop.asked, running.broken]);
    await running.stop();
    if (typeof trouble === 'string')
      throw new CliFailure('dev-broken', trouble, { advice: 'start it again; what was stored is still there' });
    if (options.json !== true) remark(terminal, 'Stopped. The data stays where it is.');
  } finally {
    stop.release();
  }
}

function banner(
  terminal: Terminal,
  { url, token }: { readonly url: string; readonly token: string },
  dataDir: string,
): string {
  const paint: Paint = painter(terminal.stdout, terminal.env);
  const shorter = relative(terminal.cwd, dataDir);
  const data = shorter === DEFAULT_DATA_DIR ? '' : ` --data ${shorter.startsWith('..') ? dataDir : shorter}`;
  return `
${paint(['bold', 'green'], 'Keelson is ready')} at ${paint('bold', url)}
  token  ${token}  ${paint('dim', '(admin; good until it stops)')}
  data   ${dataDir}

Next, in another terminal of this directory:
  ${paint('cyan', `npx keelson apply FILE${data}`)}         publish a workflow
  ${paint('cyan', `npx keelson run NAME --wait${data}`)}    run it and watch
  ${paint('cyan', `npx keelson why ID${data}`)}             ask why something waits

Ctrl-C stops everything.`;
}
