import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GOOD, everywhere, evidence, pair, wish } from '../testing/scene.ts';
import { parseLedger } from '../ledger/entry.ts';
import { check } from './check.ts';

type Given = Parameters<typeof evidence>[0];

const rulesOf = (given: Given): string[] => [...new Set(check(evidence(given)).violations.map(({ rule }) => rule))];

describe('the checker', () => {
  it('finds nothing wrong with a run in order, with a retry, or with an attempt that was lost', () => {
    assert.deepEqual(rulesOf({}), []);
    const secondAttempt = pair({
      tasks: [
        { task: 'a', state: 'succeeded', attempt: 2 },
        { task: 'b', state: 'succeeded', attempt: 1 },
      ],
    });
    const rest = ['S 1 a 2 @w2', 'E 1 a 2 @w2 0', 'S 1 b 1 @w2', 'E 1 b 1 @w2 0'];
    assert.deepEqual(rulesOf({ instances: [secondAttempt], lines: ['S 1 a 1 @w1', 'E 1 a 1 @w1 7', ...rest] }), []);
    const lost = check(evidence({ instances: [secondAttempt], lines: ['S 1 a 1 @w1', 'B 1 a 1 @w1', ...rest] }));
    assert.deepEqual(lost.violations, []);
    assert.equal(lost.tally.mostRunsOfOneTask, 2);
    assert.equal(lost.tally.effectiveRunsPerTask, 1);
  });

  it('counts complete runs above one per task: work that was done and not believed', () => {
    const lines = ['S 1 a 1 @w1', 'E 1 a 1 @w1 0', 'S 1 a 2 @w2', 'E 1 a 2 @w2 0', 'S 1 b 1 @w2', 'E 1 b 1 @w2 0'];
    const instance = pair({
      tasks: [
        { task: 'a', state: 'succeeded', attempt: 2 },
        { task: 'b', state: 'succeeded', attempt: 1 },
      ],
    });
    const { tally, violations } = check(evidence({ lines, instances: [instance] }));
    assert.deepEqual(violations, []);
    assert.equal(tally.effectiveRunsPerTask, 1.5);
  });

  it('lets a broadcast fail for want of workers only when none was alive', () => {
    const reason = { code: 'no-workers', message: 'nobody' };
    const failed = { type: 'task-ended', task: 'all', state: 'failed', reason, at: '2026-01-01T00:00:10Z' };
    const instance = { ...everywhere(), state: 'failed', tasks: [], events: [failed] };
    const began = Date.parse('2026-01-01T00:00:00Z');
    const given = { instances: [instance], lines: [] };
    assert.deepEqual(rulesOf({ ...given, lifetimes: [{ from: began, until: began + 9000 }] }), []);
    assert.deepEqual(rulesOf({ ...given, lifetimes: [{ from: began, until: began + 11_000 }] }), ['wrong-end']);
  });

  const broken: Record<string, [rule: string, given: Given]> = {
    'an acknowledged start that is not there': ['lost', { wishes: [wish('wish-1', { acknowledged: new Set(['5']) })] }],
    'a key with two instances': [
      'doubled-key',
      { instances: [pair(), pair({ id: '2', tasks: [] })], wishes: [wish('wish-1', { key: 'k' })] },
    ],
    'a key that was answered with two ids': [
      'doubled-key',
      {
        instances: [pair(), pair({ id: '2', mark: 'other', tasks: [] })],
        wishes: [wish('wish-1', { key: 'k', acknowledged: new Set(['1', '2']) })],
      },
    ],
    'one request with two instances': ['doubled-start', { instances: [pair(), pair({ id: '2', tasks: [] })] }],
    'a token that was started twice': ['started-twice', { lines: ['S 1 a 1 @w1', ...GOOD] }],
    'an attempt that writes and never started': ['started-twice', { lines: [...GOOD, 'B 1 b 2 @w1'] }],
    'two attempts at once': [
      'overlap',
      { lines: ['S 1 a 1 @w1', 'S 1 a 2 @w2', 'B 1 a 1 @w1', 'E 1 a 2 @w2 0', 'S 1 b 1 @w1', 'E 1 b 1 @w1 0'] },
    ],
    'an end of a paused worker’s child behind the next start': [
      'overlap',
      { lines: ['S 1 a 1 @w1', 'S 1 a 2 @w2', 'E 1 a 2 @w2 0', 'E 1 a 1 @w1 0', 'S 1 b 1 @w1', 'E 1 b 1 @w1 0'] },
    ],
    'a successor before the end of what it needs': [
      'order',
      { lines: ['S 1 a 1 @w1', 'S 1 b 1 @w2', 'E 1 a 1 @w1 0', 'E 1 b 1 @w2 0'] },
    ],
    'a successor of a task that failed': [
      'order',
      { lines: ['S 1 a 1 @w1', 'E 1 a 1 @w1 3', 'S 1 b 1 @w2', 'E 1 b 1 @w2 0'] },
    ],
    'a success that nobody ran': ['succeeded-without-running', { lines: ['S 1 a 1 @w1', 'E 1 a 1 @w1 0'] }],
    'a run that nobody asked for': ['ran-unasked', { lines: [...GOOD, 'S 1 b 2 @w1', 'E 1 b 2 @w1 0'] }],
    'an instance that does not end': ['stuck', { instances: [pair({ state: 'running', endedAt: undefined })] }],
    'an instance that ends otherwise': ['wrong-end', { instances: [pair({ state: 'failed' })] }],
    'a broadcast that ran twice on a worker': [
      'started-twice',
      { instances: [everywhere('w1')], lines: ['S 1 all 1 @w1', 'S 1 all 1 @w1', 'E 1 all 1 @w1 0'] },
    ],
    'a broadcast that did not run where it succeeded': [
      'broadcast',
      { instances: [everywhere('w1', 'w2')], lines: ['S 1 all 1 @w1', 'E 1 all 1 @w1 0'] },
    ],
    'a broadcast on a worker that was not drafted': [
      'broadcast',
      {
        instances: [everywhere('w1')],
        lines: ['S 1 all 1 @w1', 'E 1 all 1 @w1 0', 'S 1 all 1 @w9', 'E 1 all 1 @w9 0'],
      },
    ],
  };
  for (const [what, [rule, given]] of Object.entries(broken)) {
    it(`finds ${what}`, () =>
      assert.ok(rulesOf(given).includes(rule), `${rule} is not in ${rulesOf(given).join(', ')}`));
  }

  it('lets a broadcast run on several workers at once', () => {
    const lines = ['S 1 all 1 @w1', 'S 1 all 1 @w2', 'E 1 all 1 @w1 0', 'E 1 all 1 @w2 0'];
    assert.deepEqual(rulesOf({ instances: [everywhere('w1', 'w2')], lines }), []);
  });

  it('finds fencing tokens that do not grow', () => {
    const given = evidence({ lines: ['S 1 a 1 @w1', 'S 1 a 2 @w2', 'E 1 a 2 @w2 0', 'S 1 b 1 @w1', 'E 1 b 1 @w1 0'] });
    const entries = given.entries.map((entry) => (entry.attempt === 2 ? { ...entry, token: '9' } : entry));
    const { violations } = check({ ...given, entries });
    assert.ok(violations.some(({ rule }) => rule === 'fencing-token'));
  });

  it('takes no ledger with a line that no task writes', () => {
    assert.throws(() => parseLedger('S 1 a\n'), /line 1 of the ledger is none/);
    assert.equal(parseLedger('S 1 a').length, 0, 'a line without an end is still being written');
  });
});
