/** `npm run bench -- NAME [--json]`: measures Keelson on a PostgreSQL of its own and leaves nothing behind. */
import { parseArgs } from 'node:util';
import { benches, groups } from './benches/all.ts';
import { resultOf, tableOf } from './result.ts';
import type { BenchResult } from './result.ts';
import type { BenchOptions } from './run.ts';

const USAGE = `npm run bench -- NAME [options]

  NAME   ${[...benches.keys()].join(', ')},
         or ${[...groups.keys()].join(', ')}

  --json             one JSON object on standard output
  --tasks N          size of drain and shell (default: as the bench says)
  --repetitions N    measured runs (default: as the bench says)
  --slots N          slots of the worker in drain and shell
  --profile DIR      CPU profiles of the server and the workers
  --verbose          what PostgreSQL says while it starts`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    tasks: { type: 'string' },
    repetitions: { type: 'string' },
    slots: { type: 'string' },
    profile: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const open = new Set<() => Promise<void>>();
let interrupted = false;

function positive(name: 'tasks' | 'repetitions' | 'slots'): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  console.error(`--${name} ${JSON.stringify(text)} is no positive whole number`);
  process.exit(2);
}

const options: BenchOptions = {
  log: (line) => values.verbose && console.error(line),
  profileInto: values.profile,
  tasks: positive('tasks'),
  repetitions: positive('repetitions'),
  slots: positive('slots'),
  onInterrupt: (end) => {
    open.add(end);
    return async () => {
      open.delete(end);
      // An interrupt ends it already.
      if (!interrupted) await end();
    };
  },
};

function interrupt(): void {
  if (interrupted) process.exit(130);
  interrupted = true;
  console.error('interrupted: stopping and clearing up');
  void Promise.allSettled([...open].map((end) => end())).then(() => process.exit(130));
}

async function run(name: string): Promise<BenchResult> {
  const bench = benches.get(name);
  if (bench === undefined) throw new Error(`there is no bench ${name}`);
  const startedAt = new Date();
  const result = resultOf(name, startedAt, await bench(options));
  if (!values.json) console.log(tableOf(result));
  return result;
}

async function main(name: string, names: readonly string[]): Promise<void> {
  const results: BenchResult[] = [];
  for (const name of names) {
    try {
      results.push(await run(name));
    } catch (error) {
      if (interrupted) return;
      process.exitCode = 1;
      console.error(`bench ${name} failed:`, error);
    }
  }
  const [first] = results;
  if (values.json && first !== undefined)
    console.log(JSON.stringify(names.length === 1 ? first : { bench: name, results }, null, 2));
}

process.on('SIGINT', interrupt);
process.on('SIGTERM', interrupt);
const [name] = positionals;
const named = name === undefined ? undefined : (groups.get(name) ?? (benches.has(name) ? [name] : undefined));
if (values.help || name === undefined || positionals.length > 1 || named === undefined) {
  console.error(USAGE);
  process.exitCode = values.help ? 0 : 2;
} else await main(name, named);
