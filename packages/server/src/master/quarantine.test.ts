import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { taskOf, workflowOf } from '@keelson/core/testing';
import { migrate, openStore } from '@keelson/store';
import type { Store } from '@keelson/store';
import { testDatabase } from '@keelson/store/testing';

const PROGRAM = fileURLToPath(new URL('./testing/crashing-master.ts', import.meta.url));
const LIMIT_MS = 90_000;

interface House {
  readonly store: Store;
  readonly url: string;
  readonly join: string;
  start(): Promise<string>;
}

async function house(t: TestContext): Promise<House> {
  const { url } = await testDatabase(t);
  await migrate(url);
  const store = await openStore({ url, applicationName: 'quarantine-test', secretKey: randomBytes(32) });
  t.after(() => store.close());
  const definition = workflowOf([taskOf('a'), taskOf('b', ['a'])], { name: 'w' });
  const source = JSON.stringify(definition);
  const [applied] = await store.definitions.apply([
    { project: 'p', name: 'w', definition, source, files: [], hash: 'h', createdBy: 't' },
  ]);
  assert.ok(applied);
  const { token: join } = await store.tokens.create({ name: 'w', role: 'worker' });
  const request = {
    versionId: applied.versionId,
    workflowId: '1',
    taskCount: 2,
    params: {},
    priority: 0,
    createdBy: 't',
  };
  const start = async () => (await store.starts.start({ ...request, runTime: '2026-01-02T03:04:05Z' })).instanceId;
  return { store, url, join, start };
}

/** A master that is started again each time it dies, as a supervisor would. */
function supervised(t: TestContext, args: readonly string[]) {
  const state = { deaths: 0, address: '', over: false };
  const run = async (): Promise<void> => {
    while (!state.over) {
      const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
      createInterface(child.stdout).on('line', (line) => (state.address = line));
      stop = () => child.kill('SIGKILL');
      const [, signal] = await once(child, 'exit');
      state.address = '';
      if (!state.over && signal === 'SIGKILL') state.deaths++;
    }
  };
  let stop: () => void = () => undefined;
  const running = run();
  t.after(async () => {
    state.over = true;
    stop();
    await running;
  });
  return state;
}

/** A worker that runs everything at once and reports it until somebody answers. */
async function work(
  t: TestContext,
  join: string,
  master: { readonly address: string; readonly over: boolean },
): Promise<void> {
  const signal = AbortSignal.timeout(LIMIT_MS * 2);
  let credential = '';
  let tries = 0;
  const pending = new Set<string>();
  const post = async (path: string, bearer: string, payload: object): Promise<Record<string, never> | undefined> => {
    if (master.address === '') return undefined;
    const headers = {
      authorization: `Bearer ${bearer}`,
      'content-type': 'application/json',
      'keelson-report-tries': String(tries),
    };
    const request = { method: 'POST', headers, body: JSON.stringify(payload), signal } as const;
    const answer = await fetch(`${master.address}/worker/v1/${path}`, request).catch(() => undefined);
    return answer?.ok === true ? ((await answer.json()) as Record<string, never>) : undefined;
  };
  const identity = {
    protocol: 1,
    name: 'w1',
    group: 'default',
    slots: 4,
    capabilities: ['shell'],
    host: 'h',
    pid: 1,
    version: '0',
  };
  const loop = async (): Promise<void> => {
    while (!master.over) {
      credential = credential === '' ? ((await post('register', join, identity))?.['credential'] ?? '') : credential;
      const polled = await post('poll', credential, { held: [...pending], waitMs: 50, draining: false });
      for (const { token } of (polled?.['assignments'] ?? []) as { token: string }[]) pending.add(token);
      const reports = [...pending].map((token) => ({
        kind: 'ended',
        token,
        end: 'succeeded',
        startedAgoMs: 1,
        endedAgoMs: 0,
      }));
      const renewed = credential === '' ? undefined : await post('renew', credential, { held: [...pending] });
      assert.ok(renewed !== null);
      if (reports.length > 0) {
        // Each by itself: what a master dies of must not keep the others back for ever.
        for (const report of reports) {
          const answer = await post('report', credential, { reports: [report] });
          tries = answer === undefined ? tries + 1 : 0;
          for (const token of (answer?.['acknowledged'] ?? []) as string[]) pending.delete(token);
          for (const { token } of (answer?.['assignments'] ?? []) as { token: string }[]) pending.add(token);
        }
      }
      await sleep(20);
    }
  };
  const working = loop();
  t.after(() => working);
}

async function ended(store: Store, id: string, master: { readonly deaths: number }): Promise<string> {
  const giveUp = performance.now() + LIMIT_MS;
  for (;;) {
    const state = (await store.instances.get(id))?.state ?? 'unknown';
    if (['succeeded', 'failed', 'stopped'].includes(state)) return state;
    assert.ok(performance.now() < giveUp, `instance ${id} is ${state} after ${master.deaths} deaths of its master`);
    await sleep(50);
  }
}

for (const [cause, kind] of [
  ['a command', 'start'],
  ['a report', 'attempt-ended'],
] as const) {
  test(`an instance whose step kills the master goes to quarantine, the others go on: ${cause}`, async (t) => {
    const { store, url, join, start } = await house(t);
    const bad = await start();
    const good = [await start(), await start(), await start()];
    const master = supervised(t, [url, bad, kind]);
    await work(t, join, master);
    assert.equal(await ended(store, bad, master), 'failed');
    for (const id of good) assert.equal(await ended(store, id, master), 'succeeded');
    assert.ok(master.deaths >= 5, `${master.deaths} deaths`);
    const instance = await store.instances.get(bad);
    assert.equal(instance?.reason?.code, 'command-parked');
    assert.match(instance?.reason?.message ?? '', /it brought the master down each time/);
    const [parked] = await store.instances.commandErrors(bad);
    assert.equal(parked?.kind, kind);
    assert.match(parked?.error ?? '', /it brought the master down each time/);
    const { items } = await store.alerts.list({}, { limit: 10 });
    assert.deepEqual(
      items.map((alert) => [alert.kind, alert.instanceId]),
      [['command-parked', bad]],
    );
    const broken = (await store.doctor.check()).filter(({ rows }) => rows.length > 0);
    assert.deepEqual(broken, []);
    for await (const { violations } of store.verifier.verify()) assert.deepEqual(violations, []);
  });
}
