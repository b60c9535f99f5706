import { spawn } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { CORNER_TESTS } from './corner-plants.ts';
import type { Plant } from './plant.ts';

const REGISTER = fileURLToPath(new URL('./register.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Plant → the test on a real PostgreSQL that must fail with it, from the root of the repository. */
const CAUGHT_BY: Readonly<Record<string, string>> = {
  ...CORNER_TESTS,
  'cut-off-master-keeps-its-locks': 'packages/store/src/postgres/locks.race.test.ts',
};

/** Runs the test that is to catch this plant. Answers the exit code: 0 if the test failed, which is to say caught it. */
export async function runOnPostgres({ name }: Plant, print: (line: string) => void): Promise<number> {
  const test = CAUGHT_BY[name];
  if (test === undefined) throw new Error(`no test on PostgreSQL is named for the plant ${name}`);
  const clean = await passes(test, {});
  if (!clean) {
    print(`${name}: ${test} fails without it too, so it says nothing`);
    return 1;
  }
  const caught = !(await passes(test, { KEELSON_PLANT: name }));
  print(`${name}: ${caught ? 'caught' : 'NOT caught'} on PostgreSQL, by ${test}`);
  return caught ? 0 : 1;
}

function passes(test: string, env: Readonly<Record<string, string>>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const args = ['--test', '--test-timeout=120000', test];
    // Through the environment it reaches the processes that the test starts, too.
    const NODE_OPTIONS = `--import=${pathToFileURL(REGISTER).href}`;
    const child = spawn(process.execPath, args, {
      cwd: ROOT,
      env: { ...process.env, NODE_OPTIONS, ...env },
      stdio: 'ignore',
    });
    child.on('error', reject);
    child.on('close', (code) => resolve(code === 0));
  });
}
