import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startSilentProxy } from '../../testing/silent-proxy.ts';
import { namedWorkflow, openWorld } from '../../testing/world.ts';
import type { World } from '../../testing/world.ts';

const HOLDER = fileURLToPath(new URL('../../testing/lock-holder.ts', import.meta.url));
/** The bar is 4 s, and the chaos run measures it; here a loaded machine must not fail the test. */
const FREED_WITHIN_MS = 12_000;

async function holder(t: TestContext, url: string, mode: 'idle' | 'reading'): Promise<ChildProcess> {
  // A planted bug comes in through an option of the process.
  const options = process.execArgv.filter((option) => option.startsWith('--import='));
  const child = spawn(process.execPath, [...options, HOLDER, url, mode], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', () => reject(new Error('the holder of the lock ended')));
  });
  return child;
}

async function lockedWorld(t: TestContext): Promise<World> {
  const world = await openWorld(t);
  await world.start(await world.apply(namedWorkflow('p', 'w')));
  return world;
}

/** Another master takes the instance's lock, however long it must wait. */
async function assertFreed(t: TestContext, world: World, since: number): Promise<void> {
  const client = new pg.Client({ connectionString: world.settings.url, options: '-c search_path=keelson' });
  await client.connect();
  t.after(() => client.end());
  await client.query(`set lock_timeout = ${FREED_WITHIN_MS}`);
  await client.query('select id from live_instance for no key update');
  t.diagnostic(`freed after ${Math.round(performance.now() - since)} ms`);
}

async function waitForClientWrite({ sql }: World): Promise<void> {
  const until = performance.now() + 20_000;
  for (;;) {
    const rows = await sql(
      "select from pg_stat_activity where application_name = 'lock-holder' and wait_event = 'ClientWrite'",
    );
    if (rows.length > 0) return;
    assert.ok(performance.now() < until, "the server's process waits for its client to read");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('row locks of a stopped process are freed: between two statements', async (t) => {
  const world = await lockedWorld(t);
  const child = await holder(t, world.settings.url, 'idle');
  child.kill('SIGSTOP');
  await assertFreed(t, world, performance.now());
});

test('row locks of a stopped process are freed: in the middle of a large answer', async (t) => {
  const world = await lockedWorld(t);
  const since = performance.now();
  await holder(t, world.settings.url, 'reading');
  await waitForClientWrite(world);
  await assertFreed(t, world, since);
});

for (const mode of ['idle', 'reading'] as const) {
  test(`row locks of a process that is cut off without a word are freed: ${mode}`, async (t) => {
    const world = await lockedWorld(t);
    const proxy = await startSilentProxy(world.settings.url);
    t.after(() => proxy.close());
    const since = performance.now();
    await holder(t, proxy.url, mode);
    proxy.silence();
    if (mode === 'reading') await waitForClientWrite(world);
    await assertFreed(t, world, since);
  });
}
