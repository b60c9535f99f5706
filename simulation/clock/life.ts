import type { Clock } from '@keelson/core';
import type { Dice } from './random.ts';
import type { Timeline } from './timeline.ts';

/**
 * One process, from its start to its death: its timers and everything that reaches it from outside. While it is paused (SIGSTOP) both
 * wait; after its death they never come, so that what it awaited never settles.
 */
export interface Life {
  /** Node and number of the process: `s1#2`. */
  readonly name: string;
  readonly node: string;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly alive: boolean;
  readonly paused: boolean;
  /** Runs this in the process, now or when it wakes up; an answer that comes over the network, say. */
  deliver(run: () => void): void;
  pause(ms: number): void;
  /** Told of each call that it makes; for faults that wait for one. */
  onCall: ((path: string) => void) | undefined;
  kill(): void;
  /** Called at its death; answers how to forget it. */
  onDeath(heard: () => void): () => void;
}

export interface LifeOptions {
  readonly name: string;
  readonly node: string;
  readonly dice: Dice;
  /** How fast its monotonic clock runs: 1 is right. */
  readonly rate: number;
}

export function beginLife(timeline: Timeline, { name, node, dice, rate }: LifeOptions): Life {
  const born = timeline.now();
  const zero = dice.between(1000, 1_000_000);
  const mourners = new Set<() => void>();
  let alive = true;
  let wakeAt = -Infinity;
  let lateTimers: (() => void)[] = [];
  let lateArrivals: (() => void)[] = [];

  const wake = (): void => {
    if (!alive) return;
    if (timeline.now() < wakeAt) return void timeline.after(wakeAt - timeline.now(), wake);
    // A process that goes on finds both; which it looks at first is chance, their own order is kept.
    const both = dice.chance(0.5) ? [...lateTimers, ...lateArrivals] : [...lateArrivals, ...lateTimers];
    lateTimers = [];
    lateArrivals = [];
    both.forEach((run, index) => timeline.after(index * 0.001, () => act(run, lateArrivals)));
  };
  const act = (run: () => void, late: (() => void)[]): void => {
    if (!alive) return;
    if (timeline.now() < wakeAt) late.push(run);
    else run();
  };
  return {
    name,
    node,
    dice,
    clock: {
      now: () => zero + (timeline.now() - born) * rate,
      after: (ms, run) => {
        let cancelled = false;
        const cancel = timeline.after(ms / rate, () => act(() => (cancelled ? undefined : run()), lateTimers));
        return () => {
          cancelled = true;
          cancel();
        };
      },
      soon: (run) => void timeline.after(0, () => act(run, lateTimers)),
    },
    get alive() {
      return alive;
    },
    get paused() {
      return alive && timeline.now() < wakeAt;
    },
    onCall: undefined,
    deliver: (run) => act(run, lateArrivals),
    pause: (ms) => {
      wakeAt = Math.max(wakeAt, timeline.now() + ms);
      timeline.after(ms, wake);
    },
    kill: () => {
      if (!alive) return;
      alive = false;
      for (const heard of mourners) heard();
    },
    onDeath: (heard) => {
      mourners.add(heard);
      return () => void mourners.delete(heard);
    },
  };
}
