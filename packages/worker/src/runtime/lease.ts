import type { Clock } from '@keelson/core';

/** What kills all that runs, and this process, at a moment that is put off with every renewal; it does not depend on this process. */
export interface Deadline {
  /** Milliseconds of a clock that it shares with this process. */
  now(): number;
  /** When everything must be dead, by that clock; undefined: no lease is held, nothing runs. */
  set(at: number | undefined): void;
}

/** The right to run attempts, up to a moment that every acknowledged renewal moves on. */
export interface Lease {
  /** Counted from the moment the acknowledged request was sent. */
  renewed(sentAt: number, leaseMs: number): void;
  /** Milliseconds until everything must be told to end. */
  leftMs(): number;
  /** Milliseconds until the lease itself ends. */
  untilEndMs(): number;
  /** How long a process may take for its end once the lease is lost; it fits in what is left. */
  readonly graceMs: number;
  /** Nothing runs any more: the launcher need not watch. */
  release(): void;
}

/** Watches a lease; `onRunningOut` is called once, a kill grace and some slack before its end. */
export function watchLease(
  clock: Clock,
  deadline: Deadline,
  killGraceMs: number,
  sentAt: number,
  leaseMs: number,
  onRunningOut: () => void,
): Lease {
  let endsAt = sentAt + leaseMs;
  let length = leaseMs;
  let released = false;
  let cancel: (() => void) | undefined;

  const slackMs = (): number => Math.min(500, length / 8);
  const graceMs = (): number => Math.min(killGraceMs, length / 4);
  const leftMs = (): number => endsAt - slackMs() - graceMs() - clock.now();

  function watch(): void {
    if (released) return;
    const left = leftMs();
    if (left > 0) cancel = clock.after(left, watch);
    else onRunningOut();
  }

  /** In this order a pause of this process between the two clocks makes the deadline earlier, never later. */
  function moveDeadline(): void {
    const machine = deadline.now();
    deadline.set(machine + (endsAt - slackMs() / 2 - clock.now()));
  }

  moveDeadline();
  cancel = clock.after(Math.max(0, leftMs()), watch);
  return {
    renewed(at, ms) {
      length = ms;
      if (at + ms <= endsAt) return;
      endsAt = at + ms;
      moveDeadline();
    },
    leftMs,
    untilEndMs: () => endsAt - clock.now(),
    get graceMs() {
      return graceMs();
    },
    release() {
      released = true;
      cancel?.();
      deadline.set(undefined);
    },
  };
}
