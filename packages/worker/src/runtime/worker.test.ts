import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Assignment } from '@keelson/protocol';
import type { Processor } from '@keelson/tasks';
import { startTcpProxy } from '../testing/tcp-proxy.ts';
import { makeAssignment, startTestGateway, type TestGateway } from '../testing/test-gateway.ts';
import { isAlive, waitUntil } from '../testing/wait-until.ts';
import { setupWorker } from '../testing/worker-setup.ts';
import { RegistrationRefused, createWorker } from './worker.ts';

const call = (name: string): Assignment => makeAssignment({ uses: 'processor', input: { processor: name } });
const shell = (run: string): Assignment => makeAssignment({ input: { run } });

/** Processors that count their calls; `slow` waits to be released. */
function counted() {
  const calls: string[] = [];
  const release = Promise.withResolvers<void>();
  const processors: Record<string, Processor> = {
    quick: ({ instanceId }) => void calls.push(instanceId),
    async slow({ instanceId, signal }) {
      calls.push(instanceId);
      await Promise.race([release.promise, new Promise((resolve) => signal.addEventListener('abort', resolve))]);
    },
  };
  return { calls, release, processors };
}

const endedCount = (gateway: TestGateway, token: string): number =>
  gateway.reports.filter((item) => item.kind === 'ended' && item.token === token).length;
const isStarted = (gateway: TestGateway, token: string): boolean =>
  gateway.reports.some((item) => item.kind === 'started' && item.token === token);

describe('worker: registration', () => {
  it('says what it can do', async (t) => {
    const { gateway } = await setupWorker(t, {
      processors: { a: () => undefined },
      taskTypes: ['shell', 'http'],
      slots: 7,
      group: 'g',
    });
    const [request] = gateway.registrations;
    assert.deepEqual(request?.capabilities, ['shell', 'http', 'processor:a']);
    assert.equal(request?.slots, 7);
    assert.equal(request?.group, 'g');
  });

  it('refuses to start where it is refused', async (t) => {
    await assert.rejects(setupWorker(t, { token: 'wrong' }), RegistrationRefused);
    assert.throws(
      () =>
        createWorker({
          servers: ['nonsense'],
          token: 'x',
          name: 'n',
          group: 'g',
          slots: 1,
          dataDir: '/nowhere',
          taskTypes: ['none'],
        }),
      /no task type "none"/,
    );
  });

  it('waits for a server that is not ready, and says so once', async (t) => {
    let refusals = 3;
    const { lines } = await setupWorker(t, {}, (gateway) => {
      gateway.fault = () => (refusals-- > 0 ? { status: 503, code: 'not-ready' } : undefined);
    });
    assert.equal(lines.filter((line) => line.includes('no contact')).length, 1);
    assert.equal(lines.filter((line) => line.includes('in contact with the server again')).length, 1);
  });

  it('does not start twice in one data directory', async (t) => {
    const { gateway, dataDir, run } = await setupWorker(t);
    const second = createWorker({
      servers: [gateway.url],
      token: gateway.joinToken,
      name: 'w2',
      group: 'default',
      slots: 1,
      dataDir,
      log: () => undefined,
    });
    await assert.rejects(second.start(), /is used by another worker that runs/);
    await second.stop();
    assert.equal((await run(shell('true'))).end, 'succeeded');
  });
});

describe('worker: a token is accepted once', () => {
  it('ignores a token that it holds, and answers lost for one that has ended', async (t) => {
    const { calls, processors, release } = counted();
    const { gateway, run } = await setupWorker(t, { processors });
    const slow = call('slow');
    gateway.assign(slow, slow);
    await waitUntil('started', () => isStarted(gateway, slow.token));
    gateway.assign(slow);
    await run(call('quick'));
    release.resolve();
    await waitUntil('ended', () => gateway.endOf(slow.token) !== undefined);
    await run(call('quick'));
    gateway.assign(slow);
    await waitUntil('answered', () => endedCount(gateway, slow.token) === 2);
    const last = gateway.reports.findLast(({ token }) => token === slow.token);
    assert.equal(last?.kind === 'ended' && last.end, 'lost');
    assert.equal(calls.filter((id) => id === slow.instanceId).length, 1);
  });

  it('acknowledges the kill of an attempt that never came, and never starts it afterwards', async (t) => {
    const { calls, processors } = counted();
    const { gateway, run } = await setupWorker(t, { processors });
    const task = call('quick');
    gateway.kill(task.token, 'revoked');
    await waitUntil('lost', () => gateway.endOf(task.token)?.end === 'lost');
    gateway.assign(task);
    await waitUntil('lost again', () => endedCount(gateway, task.token) === 2);
    await run(call('quick'));
    assert.ok(!calls.includes(task.instanceId));
  });

  it('kills what the server does not count as active', async (t) => {
    const { gateway } = await setupWorker(t);
    const task = shell('echo $$; exec sleep 600');
    gateway.assign(task);
    await waitUntil('its first line', () => gateway.logOf(task.token) !== '');
    gateway.kill(task.token, 'not-active');
    await waitUntil('lost', () => gateway.endOf(task.token)?.end === 'lost');
    assert.ok(!isAlive(Number(gateway.logOf(task.token))));
  });

  it('tells what it holds when it polls and renews', async (t) => {
    const { processors, release } = counted();
    const { gateway } = await setupWorker(t, { processors });
    const task = call('slow');
    gateway.assign(task);
    await waitUntil('polled', () => gateway.polls.some(({ held }) => held.includes(task.token)));
    await waitUntil('renewed', () => gateway.renewals.some(({ held }) => held.includes(task.token)));
    release.resolve();
    await waitUntil('held no more', () => gateway.renewals.at(-1)?.held.length === 0);
  });
});

describe('worker: reports', () => {
  it('drops the start of a task that ends at once, and tells that of a longer one', async (t) => {
    const { processors, release } = counted();
    const { gateway, run } = await setupWorker(t, { processors });
    const quick = call('quick');
    await run(quick);
    const slow = call('slow');
    gateway.assign(slow);
    await waitUntil('started', () => isStarted(gateway, slow.token));
    release.resolve();
    assert.ok(!isStarted(gateway, quick.token));
  });

  it('takes its next task from the answer to a report', async (t) => {
    const { processors } = counted();
    const { gateway, run } = await setupWorker(t, { processors });
    const next = call('quick');
    gateway.assignWithReport(next);
    await run(call('quick'));
    await waitUntil('the next', () => gateway.endOf(next.token)?.end === 'succeeded');
  });

  it('repeats a report until it is acknowledged: cut before, cut after, 500, 429', async (t) => {
    const { calls, processors } = counted();
    const { gateway, run, lines } = await setupWorker(t, { processors });
    const faults = ['cut-before', 'cut-after', { status: 500 }, { status: 429 }] as const;
    let index = 0;
    gateway.fault = (route) => (route === 'report' ? faults[index++] : undefined);
    const task = call('quick');
    assert.equal((await run(task)).end, 'succeeded');
    await waitUntil('all faults met', () => index > faults.length);
    assert.equal(endedCount(gateway, task.token), 2);
    assert.equal(calls.length, 1);
    assert.ok(lines.filter((line) => line.includes('no contact')).length >= 1);
  });

  it('does not let one bad report hold up the others', async (t) => {
    const { gateway } = await setupWorker(t, { processors: { big: ({ args }) => ({ value: args as string }) } });
    const tasks = Array.from({ length: 9 }, (_, n) =>
      makeAssignment({ uses: 'processor', input: { processor: 'big', args: n === 4 ? 'poison' : 'fine' } }),
    );
    gateway.fault = (route, body) =>
      route === 'report' && body.includes('poison') ? { status: 413, code: 'body-too-large' } : undefined;
    gateway.assign(...tasks);
    await waitUntil('all ends', () => tasks.every(({ token }) => gateway.endOf(token) !== undefined));
    for (const [n, { token }] of tasks.entries()) {
      assert.equal(gateway.endOf(token)?.end, n === 4 ? 'failed' : 'succeeded');
      assert.equal(gateway.endOf(token)?.reason?.code, n === 4 ? 'report-refused' : undefined);
    }
  });

  it('goes to the next server when one is gone', async (t) => {
    const gateway = await startTestGateway();
    const proxies = [await startTcpProxy(gateway.url), await startTcpProxy(gateway.url)];
    const { calls, processors, release } = counted();
    const dataDir = mkdtempSync(join(tmpdir(), 'keelson-worker-'));
    const lines: string[] = [];
    const worker = createWorker({
      servers: proxies.map(({ url }) => url),
      token: gateway.joinToken,
      name: 'w',
      group: 'g',
      slots: 2,
      dataDir,
      processors,
      log: (_, message) => void lines.push(message),
    });
    t.after(async () => {
      await worker.stop();
      await Promise.all(proxies.map((proxy) => proxy.close()));
      await gateway.close();
      rmSync(dataDir, { recursive: true, force: true });
    });
    await worker.start();
    const task = call('slow');
    gateway.assign(task);
    await waitUntil('started', () => isStarted(gateway, task.token));
    proxies[0]?.cut();
    release.resolve();
    await waitUntil('ended through the other', () => gateway.endOf(task.token)?.end === 'succeeded');
    const next = call('quick');
    gateway.assign(next);
    await waitUntil('the next task', () => gateway.endOf(next.token) !== undefined);
    assert.equal(gateway.registrations.length, 1);
    assert.equal(calls.length, 2);
  });

  it('writes no token and no credential into its log', async (t) => {
    const { gateway, run, lines, worker } = await setupWorker(t);
    let faults = 5;
    gateway.fault = () => (faults-- > 0 ? { status: 500 } : undefined);
    const task = shell('echo hi');
    await run(task);
    await worker.stop();
    const all = lines.join('\n');
    for (const secret of [task.token, gateway.joinToken, 'credential-']) assert.ok(!all.includes(secret));
  });
});

describe('worker: the lease', () => {
  for (const code of ['lease-expired', 'unknown-incarnation'] as const) {
    it(`kills everything at ${code}, reports nothing of it, and registers anew`, async (t) => {
      const { gateway, run, lines } = await setupWorker(t);
      const task = shell('trap "" TERM; echo $$; sleep 600; sleep 600');
      gateway.assign(task);
      await waitUntil('its first line', () => gateway.logOf(task.token) !== '');
      gateway.expire(code);
      await waitUntil('registered anew', () => gateway.registrations.length === 2);
      assert.ok(!isAlive(Number(gateway.logOf(task.token))));
      assert.equal((await run(shell('echo new'))).end, 'succeeded');
      assert.equal(gateway.endOf(task.token), undefined);
      assert.ok(
        lines.some(
          (line) => line.includes('ended an attempt because the lease is lost') && line.includes(task.instanceId),
        ),
      );
      gateway.assign(task);
      await waitUntil('its token is not accepted again', () => gateway.endOf(task.token)?.end === 'lost');
    });
  }

  it('ends everything before the lease ends when no renewal gets through', async (t) => {
    const leaseMs = 1200;
    const { gateway } = await setupWorker(t, {}, (prepared) => {
      prepared.leaseMs = leaseMs;
      prepared.renewEveryMs = 100;
    });
    const task = shell('trap "" TERM; echo $$; sleep 600; sleep 600');
    gateway.assign(task);
    await waitUntil('its first line', () => gateway.logOf(task.token) !== '');
    const pid = Number(gateway.logOf(task.token));
    let lastRenewal = performance.now();
    let blocked = false;
    gateway.fault = (route) => {
      if (route !== 'renew') return undefined;
      if (!blocked) lastRenewal = performance.now();
      return blocked ? 'hang' : undefined;
    };
    const seen = lastRenewal;
    await waitUntil('a renewal whose time is known', () => lastRenewal > seen);
    blocked = true;
    assert.ok(isAlive(pid));
    await waitUntil('the end of the lease', () => performance.now() >= lastRenewal + leaseMs);
    assert.ok(!isAlive(pid), 'dead when the lease ends');
    gateway.fault = () => undefined;
    await waitUntil('registered anew', () => gateway.registrations.length >= 2);
    assert.equal(gateway.endOf(task.token), undefined);
  });

  it('lives through some lost renewals', async (t) => {
    const { gateway } = await setupWorker(t);
    let index = 0;
    gateway.fault = (route) => (route === 'renew' && index++ % 2 === 0 ? 'cut-after' : undefined);
    const task = shell('sleep 1');
    gateway.assign(task);
    await waitUntil('its end', () => gateway.endOf(task.token)?.end === 'succeeded');
    assert.equal(gateway.registrations.length, 1);
  });
});

describe('worker: drain and stop', () => {
  it('waits for what runs, takes nothing new, says goodbye', async (t) => {
    const { processors, release } = counted();
    const { gateway, worker } = await setupWorker(t, { processors });
    const task = call('slow');
    gateway.assign(task);
    await waitUntil('started', () => isStarted(gateway, task.token));
    const drained = worker.drain(20_000);
    await waitUntil('told', () => gateway.polls.at(-1)?.draining === true);
    release.resolve();
    await drained;
    assert.equal(gateway.endOf(task.token)?.end, 'succeeded');
    assert.equal(gateway.leftCount, 1);
  });

  it('ends what does not come to its end within the grace', async (t) => {
    const { gateway, worker } = await setupWorker(t);
    const task = shell('echo $$; exec sleep 600');
    gateway.assign(task);
    await waitUntil('its first line', () => gateway.logOf(task.token) !== '');
    await worker.drain(50);
    assert.equal(gateway.endOf(task.token)?.end, 'lost');
    assert.equal(gateway.endOf(task.token)?.reason?.code, 'worker-shutdown');
    assert.ok(!isAlive(Number(gateway.logOf(task.token))));
    assert.equal(gateway.leftCount, 1);
  });
});
