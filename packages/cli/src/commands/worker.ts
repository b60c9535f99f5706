import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { availableParallelism, hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { Option } from 'commander';
import { directory, examples, integer, workerGroup } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { CliFailure, systemErrorCode, usageFailure } from '../failure.ts';
import { stopOnSignal } from '../stop-signals.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { remark } from '../terminal/terminal.ts';

interface WorkerCommandOptions {
  readonly server?: readonly string[];
  readonly group: string;
  readonly slots: number;
  readonly name?: string;
  readonly data: string;
  readonly tokenFile?: string;
  readonly grace: number;
  /** The former name of `grace`. */
  readonly drain?: number;
}

const DEFAULT_DIRECTORY = '.keelson-worker';

export function define(command: Command, terminal: Terminal): void {
  command
    .description(
      'Runs a worker. The first SIGTERM or Ctrl-C drains it: nothing new starts, what runs may finish within --grace, and what does not is handed back to run elsewhere. A second one ends it at once.',
    )
    .option(
      '--server <url...>',
      'the servers, one by one or comma separated; the next one is used when one fails (default: KEELSON_URL)',
    )
    .option('--group <name>', 'the worker group', workerGroup, 'default')
    .option('--slots <n>', 'how many tasks it runs at the same time', integer(1, 10_000), availableParallelism())
    .option('--name <name>', 'unique among the live workers (default: made from host and data directory)')
    .option('--data <dir>', 'a directory of its own, on a local disk', directory, `./${DEFAULT_DIRECTORY}`)
    .option('--token-file <file>', 'a file with a token of the role worker (default: KEELSON_TOKEN)')
    .option('--grace <seconds>', 'how long running tasks may go on after the first signal', integer(0, 86_400), 30)
    .addOption(new Option('--drain <seconds>').argParser(integer(0, 86_400)).hideHelp())
    .action(async (options: WorkerCommandOptions) => worker(terminal, options));
  examples(command, [
    ['keelson worker --server http://keelson:7400 --slots 16', 'KEELSON_TOKEN holds a token of the role worker'],
    ['keelson worker --server http://a:7400,http://b:7400 --group gpu', 'two servers, one group'],
  ]);
}

async function worker(terminal: Terminal, options: WorkerCommandOptions): Promise<void> {
  const servers = (options.server ?? [terminal.env['KEELSON_URL'] ?? '']).flatMap(listOf);
  const grace = options.drain ?? options.grace;
  if (servers.length === 0) throw usageFailure('which server? Give --server URL, or set KEELSON_URL');
  for (const server of servers) checkUrl(server);
  const token = await readToken(terminal, options.tokenFile);
  const dataDir = resolve(terminal.cwd, options.data);
  const name = options.name ?? workerName(dataDir);
  const { createWorker, RegistrationRefused } = await import('@keelson/worker');
  const running = createWorker({ servers, token, name, group: options.group, slots: options.slots, dataDir });
  const stop = stopOnSignal(
    terminal,
    `Draining: no new task starts, running ones have ${grace} s. Again: end at once.`,
  );
  try {
    remark(terminal, `Worker ${name} (group ${options.group}, ${options.slots} slots) joins ${servers.join(', ')}`);
    const live = async (): Promise<void> => {
      await running.start();
      await running.ended;
    };
    await Promise.race([live(), stop.asked]).catch((error: unknown) => {
      if (error instanceof RegistrationRefused)
        throw new CliFailure('registration-refused', error.message, { exitCode: EXIT.refused });
      throw error;
    });
    await running.drain(grace * 1000);
  } finally {
    stop.release();
    await running.stop();
  }
  remark(terminal, `Worker ${name} has left`);
}

function listOf(urls: string): string[] {
  return urls.split(',').flatMap((url) => (url.trim() === '' ? [] : [url.trim()]));
}

function checkUrl(text: string): void {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw usageFailure(`--server ${JSON.stringify(text)} is no http or https URL`);
}

async function readToken({ env, cwd }: Terminal, file: string | undefined): Promise<string> {
  if (file === undefined) {
    const token = env['KEELSON_TOKEN'];
    if (token !== undefined && token !== '') return token;
    throw new CliFailure('no-token', 'a worker needs a token: set KEELSON_TOKEN or give --token-file', {
      exitCode: EXIT.refused,
      advice: 'an admin makes one with "keelson token create --role worker"',
    });
  }
  try {
    return (await readFile(resolve(cwd, file), 'utf8')).trim();
  } catch (error) {
    throw new CliFailure(
      'no-token',
      `--token-file ${file}: cannot be read (${systemErrorCode(error) ?? String(error)})`,
      { exitCode: EXIT.refused },
    );
  }
}

/** The same after a restart, and another one for a second worker of the host: two cannot share a data directory. */
function workerName(dataDir: string): string {
  return `${hostname()}-${createHash('sha256').update(dataDir).digest('hex').slice(0, 6)}`;
}
