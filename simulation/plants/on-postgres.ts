import { spawn } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { CORNER_TESTS } from './corner-plants.ts';
import type { TestName } from './corner-plants.ts';
import type { Plant } from './plant.ts';

const REGISTER = fileURLToPath(new URL('./register.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** More than a test may take: a bug that keeps its process from ending must not keep ours. */
const LIMIT_MS = 180_000;

/** Plant → the test on a real PostgreSQL that must fail with it. */
const CAUGHT_BY: Readonly<Record<string, TestName>> = {
  ...CORNER_TESTS,
  'cut-off-master-keeps-its-locks': {
    file: 'packages/store/src/postgres/connection/locks.race.test.ts',
    test: 'row locks of a process that is cut off without a word are freed: idle',
  },
};

/** Plant → the scenario that plants it by itself, and passes if its checks report it. */
const REPORTED_BY: Readonly<Record<string, TestName>> = {
  'undecided-successors-handed-over': {
    file: 'e2e/reliability/f4-stale-master.test.ts',
    test: 'F4 reports the plant undecided-successors-handed-over',
  },
  'broadcast-address-reset': {
    file: 'e2e/reliability/f5-broadcast.test.ts',
    test: 'F5 reports the plant broadcast-address-reset',
  },
};

/** Plants that only a scenario shows: it runs with the others of its kind. */
export const SHOWN_BY_SCENARIOS: ReadonlySet<string> = new Set(Object.keys(REPORTED_BY));

/** Runs the test that is to catch this plant, without it and with it. Answers the exit code: 0 if it was caught. */
export async function runOnPostgres(plant: Plant, print: (line: string) => void): Promise<number> {
  const { name } = plant;
  const scenario = REPORTED_BY[name];
  if (scenario !== undefined) return told(name, scenario, await passes(scenario, {}), print);
  const test = catcherOf(name);
  if (await passes(test, {})) return runPlanted(plant, print);
  print(`${name}: "${test.test}" of ${test.file} fails without it too, so it says nothing`);
  return 1;
}

/** The same for one that runs without the plant anyway. */
export async function runPlanted({ name }: Plant, print: (line: string) => void): Promise<number> {
  const test = catcherOf(name);
  return told(name, test, !(await passes(test, { KEELSON_PLANT: name })), print);
}

function catcherOf(name: string): TestName {
  const test = CAUGHT_BY[name];
  if (test === undefined) throw new Error(`no test on PostgreSQL is named for the plant ${name}`);
  return test;
}

function told(name: string, { file, test }: TestName, caught: boolean, print: (line: string) => void): number {
  print(`${name}: ${caught ? 'caught' : 'NOT caught'} on PostgreSQL, by "${test}" of ${file}`);
  return caught ? 0 : 1;
}

/** Runs this one test in a process of its own. A test that is not there is an error; one that hangs has not passed. */
function passes({ file, test }: TestName, env: Readonly<Record<string, string>>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const pattern = `^${test.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')}$`;
    const args = ['--test', '--test-isolation=none', '--test-timeout=120000', '--test-reporter=tap'];
    // Through the environment it reaches the processes that the test starts, too.
    const NODE_OPTIONS = `--import=${pathToFileURL(REGISTER).href}`;
    const { NODE_TEST_CONTEXT: _outer, ...inherited } = process.env;
    const child = spawn(process.execPath, [...args, `--test-name-pattern=${pattern}`, file], {
      cwd: ROOT,
      timeout: LIMIT_MS,
      killSignal: 'SIGKILL',
      env: { ...inherited, NODE_OPTIONS, ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let output = '';
    child.stdout.on('data', (text: Buffer) => (output += text.toString()));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (signal !== null) resolve(false);
      else if (!/^# (pass|fail) [1-9]/m.test(output)) reject(new Error(`${file} has no test "${test}"`));
      else resolve(code === 0);
    });
  });
}
