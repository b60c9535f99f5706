import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionLost, outcomeOf } from '../postgres/connection/errors.ts';
import { call } from '../postgres/connection/session.ts';
import { openMemoryDatabase } from './database.ts';
import type { Changed } from './database.ts';
import { openMemorySession } from './session.ts';
import type { FlightHooks, FlightInfo } from './session.ts';

/** A clock that stands still until it is told to go on. */
function stoppedClock() {
  let now = 1_000_000;
  const timers = new Set<{ readonly at: number; readonly ring: () => void }>();
  return {
    now: () => now,
    after: (ms: number, ring: () => void) => {
      const timer = { at: now + ms, ring };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    pass: (ms: number) => {
      now += ms;
      for (const timer of [...timers].toSorted((one, other) => one.at - other.at)) {
        if (timer.at > now || !timers.delete(timer)) continue;
        timer.ring();
      }
    },
  };
}

const ADD = { name: 'worker-group', text: '' };
const LOCK = { name: 'park-lock', text: '' };
const START = { name: 'start', text: '' };
const start = (id: string) =>
  call(START, [id], ['1'], ['1'], [1], ['{}'], ['2026-01-02T03:04:05Z'], [0], ['x'], [null], [null]);

/** A database with one instance, and what opens sessions on it. */
async function setup() {
  const clock = stoppedClock();
  const database = openMemoryDatabase({ clock });
  const session = (hooks: FlightHooks = {}) => openMemorySession(database, 'me', 0, hooks);
  await session().run([start('1')]);
  const groups = () => database.dump()['worker_group']?.length ?? 0;
  /** Whether somebody holds the instance's lock. */
  const isLocked = async (): Promise<boolean> => {
    const [rows] = await session().run([call({ name: 'step-lock', text: '' }, ['1'])]);
    return rows?.length === 0;
  };
  return { clock, database, session, groups, isLocked };
}

const lost = (commitSent: boolean) => (error: unknown) =>
  error instanceof ConnectionLost && error.commitSent === commitSent;
const losing = (when: 'beforeExecute' | 'beforeReply', kind: FlightInfo['kind']): FlightHooks => ({
  [when]: (flight: FlightInfo) => {
    if (flight.kind === kind) throw new ConnectionLost(false, undefined);
  },
});

test('a commit that is lost on its way has done nothing, one whose answer is lost has: the caller cannot tell', async () => {
  const { session, groups } = await setup();
  await assert.rejects(
    session(losing('beforeExecute', 'commit'))
      .begin()
      .commit([call(ADD, 'g')]),
    lost(true),
  );
  assert.equal(groups(), 0);
  await assert.rejects(
    session(losing('beforeReply', 'commit'))
      .begin()
      .commit([call(ADD, 'g')]),
    lost(true),
  );
  assert.equal(groups(), 1);
});

test('a flight that is lost before the commit has certainly done nothing, and holds nothing', async () => {
  const { session, isLocked } = await setup();
  const one = session(losing('beforeReply', 'flight'));
  await assert.rejects(one.begin().flight([call(LOCK, '1')]), (error: unknown) => {
    assert.equal(outcomeOf(error), 'retry');
    return lost(false)(error);
  });
  assert.equal(await isLocked(), false);
  assert.equal((await one.run([call(ADD, 'g')])).length, 1, 'the session connects anew');
});

test('an error thrown on the way is what the server says to the first statement, and aborts the transaction', async () => {
  const { session, groups } = await setup();
  const refusing = session({
    beforeExecute: () => {
      throw Object.assign(new Error('deadlock detected'), { code: '40P01' });
    },
  });
  await assert.rejects(refusing.begin().commit([call(ADD, 'g'), call(ADD, 'h')]), { code: '40P01' });
  assert.equal(groups(), 0);
  await assert.rejects(refusing.run([call(ADD, 'g'), call(ADD, 'h')]), { code: '40P01' });
  assert.equal(groups(), 1, 'statements that stand alone are refused alone');
});

test('a disconnected session gives its locks back when the server notices', async () => {
  const { clock, session, isLocked } = await setup();
  const one = session();
  const transaction = one.begin();
  await transaction.flight([call(LOCK, '1')]);
  one.disconnect({ afterMs: 2000 });
  assert.equal(await isLocked(), true);
  await assert.rejects(transaction.flight([call(LOCK, '1')]), lost(false));
  clock.pass(2000);
  assert.equal(await isLocked(), false);
});

test('a transaction that does nothing for too long is ended', async () => {
  const { clock, session, isLocked } = await setup();
  const transaction = session().begin();
  await transaction.flight([call(LOCK, '1')]);
  clock.pass(2999);
  assert.equal(await isLocked(), true);
  clock.pass(1);
  assert.equal(await isLocked(), false);
  await assert.rejects(transaction.commit([call(ADD, 'g')]), lost(true));
});

test('what the server is running when its client dies is run to its end, COMMIT included', async () => {
  const { session, groups, isLocked } = await setup();
  const holding = session().begin();
  await holding.flight([call(LOCK, '1')]);
  const dying = session();
  const settled = Promise.withResolvers<string>();
  dying
    .begin()
    .commit([call(ADD, 'g'), call(LOCK, '1')])
    .then(
      () => settled.resolve('answered'),
      () => settled.resolve('refused'),
    );
  await new Promise(setImmediate);
  dying.disconnect({ silent: true });
  await holding.rollback();
  await new Promise(setImmediate);
  assert.equal(groups(), 1);
  assert.equal(await isLocked(), false);
  assert.equal(await Promise.race([settled.promise, Promise.resolve('nothing')]), 'nothing', 'nobody is told');
});

test('a restart loses what is open, keeps what is committed, and counts as the moment from which the server is up', async () => {
  const { clock, database, session, groups, isLocked } = await setup();
  await session().run([call(ADD, 'g')]);
  const holding = session().begin();
  await holding.flight([call(LOCK, '1')]);
  const waiting = session()
    .begin()
    .flight([call(LOCK, '1')]);
  await new Promise(setImmediate);
  clock.pass(500);
  database.restart(2);
  await assert.rejects(waiting, lost(false));
  await assert.rejects(holding.commit([]), lost(true));
  assert.equal(groups(), 1);
  assert.equal(await isLocked(), false);
  assert.deepEqual(await session().run([call({ name: 'timer-clock', text: '' })]), [[{ now: '1000500', timeline: 2 }]]);
});

test('a statement that nobody has emulated is an error that names it', async () => {
  const { session } = await setup();
  await assert.rejects(session().run([call({ name: 'brand-new', text: '' })]), /brand-new has no emulation/);
});

test('a commit tells which tables and instances it changed, a rollback nothing', async () => {
  const { database, session } = await setup();
  const heard: string[][] = [];
  const told = ({ tables, instances }: Changed): void => void heard.push([...instances], [...tables]);
  database.onCommit(told);
  const transaction = session().begin();
  await transaction.flight([start('2')]);
  await transaction.rollback();
  assert.deepEqual(heard, []);
  await session().run([start('3')]);
  assert.deepEqual(heard, [['3'], ['workflow_instance', 'live_instance', 'command', 'history']]);
});

test('versions that nobody can see any more are dropped', async () => {
  const { database, session } = await setup();
  for (let round = 0; round < 100; round++)
    await session().run([call({ name: 'put-off', text: '' }, ['1'], 1, `round ${round}`)]);
  const [tuple] = database.tables.command.tuples;
  assert.equal(tuple?.versions.length, 1);
});
