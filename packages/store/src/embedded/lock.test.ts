import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { acquireLock } from './lock.ts';

const LOCK_MODULE = new URL('./lock.ts', import.meta.url).href;

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-lock-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A process that tries for the lock, says how it went, and holds what it got until it is killed. */
function contender(path: string): { outcome: Promise<string>; kill(): void } {
  const code = `const { acquireLock } = await import(${JSON.stringify(LOCK_MODULE)});
    console.log((await acquireLock(${JSON.stringify(path)})).taken ? 'taken' : 'refused');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const outcome = new Promise<string>((resolve) =>
    child.stdout.once('data', (data: Buffer) => resolve(data.toString().trim())),
  );
  return { outcome, kill: () => void child.kill('SIGKILL') };
}

test('of several processes after a stale lock exactly one gets it', async (t) => {
  const path = join(await temporaryFolder(t), 'a.lock');
  await writeFile(path, JSON.stringify({ pid: 1, boot: 'an-earlier-boot', started: '1' }));
  const contenders = [1, 2, 3, 4].map(() => contender(path));
  t.after(() => contenders.forEach((each) => each.kill()));
  const outcomes = await Promise.all(contenders.map((each) => each.outcome));
  assert.deepEqual(outcomes.toSorted(), ['refused', 'refused', 'refused', 'taken']);
});

test('however the steps of a takeover interleave, one gets the lock', async (t) => {
  const folder = await temporaryFolder(t);
  for (let round = 0; round < 30; round++) {
    const path = join(folder, `${round}.lock`);
    await writeFile(path, JSON.stringify({ pid: 1, boot: 'an-earlier-boot', started: '1' }));
    const outcomes = await Promise.all(Array.from({ length: 12 }, () => acquireLock(path)));
    assert.equal(outcomes.filter((outcome) => outcome.taken).length, 1);
  }
});

test('a lock file that is damaged counts as stale, and a released one can be taken again', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'a.lock');
  await writeFile(path, 'not json');
  const first = await acquireLock(path);
  assert.ok(first.taken);
  assert.equal((await acquireLock(path)).taken, false);
  await first.release();
  const again = await acquireLock(path);
  assert.ok(again.taken);
  await again.release();
  assert.deepEqual(await readdir(folder), []);
});
