/**
 * `node scripts/test.ts [PART OF A PATH…]`: the unit tests of all packages, then the end-to-end tests, two files at a
 * time, with a PostgreSQL of this run's own. It fails if a test fails, if a file holds no test, or if no file matches.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { meetingPlace, published } from '../packages/store/src/testing/shared-server.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const KEEPER = join(ROOT, 'packages/store/src/testing/keeper.ts');
const CONCURRENCY = 2;
const TEST_LIMIT_MS = 15 * 60_000;
/** A file whose process does not end would keep the run open for ever. */
const RUN_LIMIT_MS = 45 * 60_000;

const files = testFiles(process.argv.slice(2));
if (files.length === 0) {
  console.error('test: no test file matches');
  process.exitCode = 1;
} else {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  process.once('SIGTERM', () => interrupted.abort());
  const overdue = setTimeout(() => {
    console.error(`test: not done after ${RUN_LIMIT_MS / 60_000} minutes; what still runs is ended`);
    interrupted.abort();
  }, RUN_LIMIT_MS);
  const passed = await withPostgres(() => runTests(files, interrupted.signal));
  clearTimeout(overdue);
  process.exitCode = passed && !interrupted.signal.aborted ? 0 : 1;
}

/** Absolute paths: packages and scripts first, then end to end, each in order of name. */
function testFiles(filters: string[]): string[] {
  const folders = ['packages', 'scripts', 'bench', 'simulation', 'chaos', 'e2e', 'examples'];
  const all = folders.flatMap((folder) => testFilesIn(join(ROOT, folder)).toSorted());
  if (filters.length === 0) return all;
  return all.filter((file) => filters.some((filter) => relative(ROOT, file).includes(filter.replace(/^\.\//, ''))));
}

function testFilesIn(folder: string): string[] {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return []; // Not every layout has every folder.
  }
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : testFilesIn(path);
    return entry.name.endsWith('.test.ts') ? [path] : [];
  });
}

/** Runs the files and lets node:test report; false if anything failed or nothing ran. */
async function runTests(paths: string[], signal: AbortSignal): Promise<boolean> {
  const known = new Set(paths);
  let ran = 0;
  let failed = 0;
  const seeded =
    process.env['CI'] === undefined ? [] : ['--import', new URL('fast-check-seed.ts', import.meta.url).href];
  const stream = run({ files: paths, concurrency: CONCURRENCY, timeout: TEST_LIMIT_MS, signal, execArgv: seeded });
  stream.on('test:pass', ({ name }) => {
    // A file without tests passes under its own name.
    if (!known.has(name) && !known.has(join(ROOT, name))) ran += 1;
    else {
      failed += 1;
      console.error(`test: ${name} holds no test`);
    }
  });
  stream.on('test:fail', () => (failed += 1));
  const report = stream.compose(new spec());
  report.pipe(process.stdout);
  await once(report, 'end');
  return failed === 0 && ran > 0;
}

/** Lends the test files a PostgreSQL that ends with this process, however that ends. */
async function withPostgres(action: () => Promise<boolean>): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-test-run-'));
  await chmod(folder, 0o755);
  process.env.KEELSON_TEST_POSTGRES_DIR = folder;
  const keeper = spawn(process.execPath, [KEEPER, '--while-stdin'], {
    detached: true,
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const ended = once(keeper, 'exit');
  try {
    await whenPublished(keeper);
    return await action();
  } finally {
    keeper.stdin?.end();
    await ended;
    await rm(folder, { recursive: true, force: true });
  }
}

async function whenPublished(keeper: ChildProcess): Promise<void> {
  while ((await published(meetingPlace())) === undefined) {
    if (keeper.exitCode !== null || keeper.signalCode !== null) throw new Error('test: PostgreSQL did not start');
    await delay(20);
  }
}
