import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { explain } from './why.ts';
import type { TaskFacts, WaitFacts } from './why-facts.ts';

const NOW = '2026-03-01T12:00:00.000Z';
const AHEAD = '2026-03-01T12:01:30.000Z';
const BEHIND = '2026-03-01T11:59:50.000Z';

type Instance = WaitFacts['instance'];

function facts(
  parts: Partial<WaitFacts> & { state?: Instance['state']; queue?: NonNullable<Instance['queue']> } = {},
): WaitFacts {
  const { state = 'running', queue, ...rest } = parts;
  return {
    now: NOW,
    instance: { id: '1', state, policy: 'parallel', reason: null, ...(queue === undefined ? {} : { queue }) },
    tasks: [],
    commands: [],
    parked: [],
    groups: {},
    ...rest,
  };
}

function why(task: TaskFacts, parts: Parameters<typeof facts>[0] = {}): { code: string; message: string } {
  const found = explain(facts({ ...parts, tasks: [task] })).at(-1);
  assert.equal(found?.task, task.task);
  assert.equal(found.state, task.state);
  return { code: found.code, message: found.message };
}

const waiting = (...unmet: { task: string; state: 'waiting' | 'running' | 'succeeded' }[]): TaskFacts => ({
  task: 'b',
  state: 'waiting',
  unmet,
});
const ready: TaskFacts = { task: 'a', state: 'ready', since: BEHIND, group: 'etl', capability: 'shell', position: 3 };
const worker = { name: 'w1', state: 'live', leaseUntil: AHEAD } as const;
const running: TaskFacts = {
  task: 'a',
  state: 'running',
  attempt: 1,
  since: BEHIND,
  killReason: null,
  progress: null,
  worker,
};

describe('explain', () => {
  it('names the upstream tasks that have not ended, and only those', () => {
    const said = why(waiting({ task: 'a', state: 'running' }, { task: 'z', state: 'succeeded' }));
    assert.deepEqual(said, { code: 'waiting-for-upstream', message: 'waits for a (running)' });
  });

  it('names a few of many and counts the rest', () => {
    const many = Array.from({ length: 7 }, (_, index) => ({ task: `t${index}`, state: 'waiting' as const }));
    assert.match(why(waiting(...many)).message, /t4 \(waiting\) and 2 more$/);
  });

  it('says that a step waits, and why it is tried again', () => {
    const command = { kind: 'start', createdAt: BEHIND, tries: 0, lastError: null, notBefore: null };
    assert.deepEqual(why(waiting(), { commands: [command] }), {
      code: 'command-waiting',
      message: 'its next step ("start") has waited 10 s for a master',
    });
    const retried = { ...command, tries: 2, lastError: 'boom', notBefore: AHEAD };
    assert.deepEqual(why(waiting(), { commands: [retried] }), {
      code: 'command-retrying',
      message:
        'its next step ("start") has waited 10 s for a master; it failed 2 times and is tried again in 1 min 30 s: boom',
    });
  });

  it('says so when nothing drives a task', () => {
    assert.equal(why(waiting({ task: 'a', state: 'succeeded' })).code, 'no-driver');
  });

  it('tells a delay from the delay of a retry', () => {
    const delayed = { task: 'a', state: 'delayed', attempt: 2, dueAt: AHEAD } as const;
    assert.deepEqual(why({ ...delayed, cause: 'delay' }), {
      code: 'delayed',
      message: `its delay ends at ${AHEAD} (in 1 min 30 s)`,
    });
    assert.deepEqual(why({ ...delayed, cause: 'retry' }), {
      code: 'retry-delay',
      message: `attempt 1 has failed; attempt 2 may start at ${AHEAD} (in 1 min 30 s)`,
    });
  });

  it('tells why a ready task has no worker', () => {
    const w = (inUse: number, ...capabilities: string[]) => ({ name: 'w1', slots: 4, inUse, capabilities });
    assert.deepEqual(why(ready), { code: 'no-worker-in-group', message: 'no live worker in group etl' });
    assert.deepEqual(why(ready, { groups: { etl: [w(0, 'sql')] } }), {
      code: 'no-worker-with-capability',
      message: 'no live worker in group etl can run shell (there is w1)',
    });
    assert.deepEqual(why(ready, { groups: { etl: [w(4, 'shell'), w(0, 'sql')] } }), {
      code: 'group-full',
      message: 'group etl is full: 4 of 4 slots for shell in use; position 3 in line',
    });
    assert.deepEqual(why(ready, { groups: { etl: [w(4, 'shell'), w(1, 'shell')] } }), {
      code: 'about-to-start',
      message: 'ready for 10 s, position 3 in line; 3 of 8 slots free in group etl',
    });
  });

  it('tells where an attempt is', () => {
    assert.deepEqual(why({ ...running, state: 'dispatched' }), {
      code: 'dispatched',
      message: 'handed to worker w1 10 s ago, which has not confirmed the start',
    });
    assert.deepEqual(why({ ...running, progress: { fraction: 0.419, message: 'page 3' } }), {
      code: 'running',
      message: 'has run on worker w1 for 10 s, 41 % done (page 3)',
    });
    assert.deepEqual(why({ ...running, killReason: 'timeout' }), {
      code: 'stopping',
      message: 'it ran longer than its timeout; worker w1 has not confirmed its end yet',
    });
  });

  it('says that the worker is lost from the end of its lease on, even before anyone marked it dead', () => {
    const lost = { code: 'worker-lost', message: 'worker w1 does not renew its lease, which ended 10 s ago' };
    assert.deepEqual(why({ ...running, killReason: 'stop', worker: { ...worker, leaseUntil: BEHIND } }), lost);
    assert.equal(why({ ...running, worker: { ...worker, state: 'dead' } }).code, 'worker-lost');
  });

  it('puts what holds the instance back before what holds the task back, but not before what runs', () => {
    assert.equal(why(ready, { state: 'paused' }).code, 'paused');
    assert.equal(why(waiting({ task: 'a', state: 'waiting' }), { state: 'queued' }).code, 'waiting-for-slot');
    assert.equal(why(ready, { state: 'stopping' }).code, 'stopping');
    assert.equal(why(running, { state: 'paused' }).code, 'running');
  });

  it('says what is held, and what is left of its delay', () => {
    const held = { task: 'a', state: 'delayed', held: true, attempt: 3, cause: 'retry', delayLeftMs: 90_000 } as const;
    assert.deepEqual(why(held, { state: 'paused' }), {
      code: 'paused',
      message: 'the delay before attempt 3 has 1 min 30 s left, and held back: the instance is paused',
    });
    assert.equal(why({ ...held, state: 'ready', cause: null }, { state: 'pausing' }).code, 'pausing');
  });

  it('says of the instance as a whole what it waits for', () => {
    const whole = (more: Parameters<typeof facts>[0]) =>
      explain(facts(more)).find(({ task }) => task === null)?.message;
    assert.equal(whole({ state: 'paused' }), 'the instance is paused: resume it');
    assert.equal(
      whole({ state: 'pausing', tasks: [running] }),
      'the instance is pausing: it is paused when the task that runs has ended',
    );
    assert.equal(
      whole({ state: 'queued', queue: { policy: 'serial-wait', slots: 2, used: 3, holders: ['7', '8'], ahead: 1 } }),
      "the instance waits for its turn: 3 of 2 slots are taken (by instance 7, 8 and 1 more), 1 instance is before it; its workflow's policy is serial-wait",
    );
    assert.equal(whole({ state: 'running', tasks: [running] }), undefined);
  });

  it('says of a carried end from which generation it is', () => {
    const reason = { code: 'exit-code', message: 'exit code 3' };
    assert.equal(
      why({ task: 'a', state: 'failed', reason, endedAt: BEHIND, carriedFrom: 2 }).message,
      'exit code 3 (carried from generation 2)',
    );
  });

  it('repeats the reason of a task that ended badly', () => {
    const reason = { code: 'exit-code', message: 'exit code 3', exitCode: 3 };
    assert.deepEqual(why({ task: 'a', state: 'failed', reason, endedAt: BEHIND }), {
      code: 'exit-code',
      message: 'exit code 3',
    });
  });

  it('speaks of a parked step for the instance as a whole', () => {
    const [first] = explain(
      facts({ state: 'failed', parked: [{ kind: 'start', tries: 1, error: 'no such version', at: BEHIND }] }),
    );
    assert.deepEqual(first, {
      task: null,
      state: 'failed',
      since: BEHIND,
      code: 'command-parked',
      message: 'the step "start" was given up after it failed once: no such version',
      details: { kind: 'start', tries: 1 },
    });
  });
});
