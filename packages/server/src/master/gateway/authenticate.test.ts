import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock, systemRandom } from '@keelson/core/system';
import type { LiveIncarnation } from '@keelson/store';
import type { MasterContext } from '../context.ts';
import { createLine } from '../line.ts';
import { createSessions } from '../sessions.ts';
import { sessionOf } from './authenticate.ts';

const INCARNATION: LiveIncarnation = {
  id: '7',
  name: 'w7',
  group: 'default',
  slots: 4,
  capabilities: ['shell'],
  state: 'live',
  leaseMs: 60_000,
};

const BEARER = `7.${'a'.repeat(32)}`;

test('two first calls of a worker at once meet in one session: what one is bound, the other hands over', async () => {
  const answers = [Promise.withResolvers<LiveIncarnation>(), Promise.withResolvers<LiveIncarnation>()];
  let asked = 0;
  const context = {
    clock: systemClock,
    sessions: createSessions(systemClock, systemRandom),
    line: createLine(),
    wake: { claims: () => undefined },
    store: { workers: { authenticate: () => answers[asked++]?.promise } },
  } as unknown as MasterContext;
  const calls = [sessionOf(context, BEARER), sessionOf(context, BEARER)];
  for (const { resolve } of answers) resolve(INCARNATION);
  const [first, second] = await Promise.all(calls);
  assert.equal(first, second);
  assert.deepEqual([...context.sessions.all()], [first]);
});
