import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { isAlive, waitUntil } from '../testing/wait-until.ts';
import { openDataDir } from './data-dir.ts';
import { DataDirInUse } from './lock.ts';

const silent = (): void => undefined;

function freshDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'keelson-data-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A process that holds the directory until it is killed. */
async function holder(dir: string): Promise<() => Promise<void>> {
  const code = `const { openDataDir } = await import(${JSON.stringify(new URL('./data-dir.ts', import.meta.url).href)}); await openDataDir(${JSON.stringify(dir)}, () => {}); console.log('held'); setInterval(() => {}, 1e6);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  let held = false;
  child.stdout.on('data', () => (held = true));
  await waitUntil('the other process holds it', () => held);
  return async () => {
    child.kill('SIGKILL');
    await waitUntil('it is dead', () => child.signalCode !== null);
  };
}

describe('data directory', () => {
  for (const below of ['short', 'long/'.repeat(30)]) {
    it(`belongs to one process at a time, and to the next after a kill -9 (${below.length} characters deeper)`, async (t) => {
      const dir = join(freshDir(t), below);
      const kill = await holder(dir);
      await assert.rejects(openDataDir(dir, silent), DataDirInUse);
      await kill();
      const mine = await openDataDir(dir, silent);
      await assert.rejects(openDataDir(dir, silent), DataDirInUse);
      mine.release();
      (await openDataDir(dir, silent)).release();
    });
  }

  it('that can never be made is an error, and no wait without end', async () => {
    await assert.rejects(openDataDir('/proc/keelson/data', silent), /cannot be made.*ENOENT.*--data/);
  });

  it('is freed of what an earlier worker left: directories and processes, and no others', async (t) => {
    const dir = freshDir(t);
    const first = await openDataDir(dir, silent);
    first.release();
    mkdirSync(join(first.attemptsDir, 'old'));
    writeFileSync(join(first.attemptsDir, 'old', 'file'), 'x');
    const start = (key: string): number =>
      spawn('sleep', ['600'], {
        detached: true,
        stdio: 'ignore',
        env: { PATH: process.env['PATH'], KEELSON_ATTEMPT_KEY: key },
      }).pid ?? 0;
    const ours = start(`${first.id}:abc.1`);
    const others = start('000000:abc.1');
    t.after(() => process.kill(others, 'SIGKILL'));
    await waitUntil('both run', () =>
      [ours, others].every((pid) => readFileSync(`/proc/${pid}/environ`, 'utf8').includes('ATTEMPT_KEY')),
    );
    const lines: string[] = [];
    const second = await openDataDir(dir, (_, message) => void lines.push(message));
    t.after(() => second.release());
    assert.equal(second.id, first.id);
    await waitUntil('the leftover dead', () => !isAlive(ours));
    assert.ok(isAlive(others));
    assert.ok(!existsSync(join(second.attemptsDir, 'old')));
    assert.match(lines.join(), /killed processes that an earlier worker had left behind/);
  });
});
