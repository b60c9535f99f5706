import { parseLedger } from '../ledger/entry.ts';
import type { Wish } from '../load/load.ts';
import type { Shape } from '../load/workflows.ts';
import type { Evidence, EventRecord, InstanceRecord } from '../check/evidence.ts';

const task = (needs: readonly string[] = [], broadcast = false) => ({ needs, broadcast, definition: {} });

/** Two tasks in a row, and a broadcast. */
export const SHAPES: readonly Shape[] = [
  { name: 'pair', weight: 1, tasks: { a: task(), b: task(['a']) } },
  { name: 'everywhere', weight: 1, tasks: { all: task([], true) } },
];

/** A ledger as it would lie on a disk; `S 1 a 1 @w1` is a start of instance 1, task a, attempt 1, on worker w1. */
export function ledger(...lines: readonly string[]): string {
  return lines
    .map((line, index) => {
      const [kind = '', instance = '', name = '', attempt = '', worker = '', code = '-'] = line.split(' ');
      const token = Number(attempt) * 10;
      const clock = [String(index), String(1_000_000 + index * 1000)];
      return `${[kind, instance, name, attempt, token, worker.slice(1), 77, ...clock, code].join(' ')}\n`;
    })
    .join('');
}

export const wish = (mark: string, given: Partial<Wish> = {}): Wish => ({
  mark,
  workflow: 'pair',
  key: undefined,
  askedAt: 0,
  requests: 1,
  acknowledged: new Set(['1']),
  acknowledgedAt: 1,
  refusal: undefined,
  unknowns: [],
  ...given,
});

const dispatched = (task: string, attempt: number): EventRecord => ({ type: 'task-dispatched', task, attempt });

/** Instance 1 of `pair`, succeeded at its first attempts. */
export const pair = (given: Partial<InstanceRecord> = {}): InstanceRecord => ({
  id: '1',
  workflow: 'pair',
  mark: 'wish-1',
  state: 'succeeded',
  createdAt: 0,
  endedAt: 9,
  tasks: [
    { task: 'a', state: 'succeeded', attempt: 1 },
    { task: 'b', state: 'succeeded', attempt: 1 },
  ],
  events: [dispatched('a', 1), dispatched('a', 2), dispatched('b', 1)],
  ...given,
});

export const everywhere = (...workers: readonly string[]): InstanceRecord => ({
  ...pair({ workflow: 'everywhere', tasks: [{ task: 'all', state: 'succeeded', attempt: 1 }] }),
  events: [
    {
      type: 'broadcast-started',
      task: 'all',
      workers: workers.map((worker) => ({ incarnation: `of ${worker}`, worker })),
    },
    ...workers.map((worker) => ({
      type: 'subtask-ended',
      task: 'all',
      attempt: 1,
      state: 'succeeded',
      incarnation: `of ${worker}`,
    })),
    { type: 'task-ended', task: 'all', attempt: 1, state: 'succeeded' },
  ],
});

export const GOOD = ['S 1 a 1 @w1', 'E 1 a 1 @w1 0', 'S 1 b 1 @w2', 'E 1 b 1 @w2 0'] as const;

export function evidence(given: {
  readonly lines?: readonly string[];
  readonly instances?: readonly InstanceRecord[];
  readonly wishes?: readonly Wish[];
  readonly lifetimes?: Evidence['lifetimes'];
}): Evidence {
  return {
    entries: parseLedger(ledger(...(given.lines ?? GOOD))),
    instances: given.instances ?? [pair()],
    wishes: given.wishes ?? [wish('wish-1')],
    shapes: new Map(SHAPES.map((shape) => [shape.name, shape])),
    lifetimes: given.lifetimes ?? [],
  };
}
