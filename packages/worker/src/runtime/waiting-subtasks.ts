import type { Clock } from '@keelson/core';
import type { Assignment } from '@keelson/protocol';

/** Subtasks that this worker holds and has not started: nobody has promised it a slot for them, or their retry has a delay. */
export interface WaitingSubtasks {
  readonly count: number;
  add(assignment: Assignment): void;
  /** Takes it out; false when it does not wait here. */
  remove(token: string): boolean;
  /** Starts what may start now: to be called whenever a slot has become free. */
  startNext(): void;
  /** Takes all of them out; none starts any more. */
  close(): string[];
}

/** @param freeSlots how many may be started now */
export function openWaitingSubtasks(
  clock: Clock,
  freeSlots: () => number,
  start: (assignment: Assignment) => void,
): WaitingSubtasks {
  const waiting = new Map<string, { readonly assignment: Assignment; due: boolean }>();
  const timers = new Map<string, () => void>();

  function take(token: string): Assignment | undefined {
    timers.get(token)?.();
    timers.delete(token);
    const assignment = waiting.get(token)?.assignment;
    waiting.delete(token);
    return assignment;
  }

  function startNext(): void {
    for (const [token, { due }] of waiting) {
      if (freeSlots() <= 0) return;
      if (!due) continue;
      const assignment = take(token);
      if (assignment !== undefined) start(assignment);
    }
  }

  return {
    get count() {
      return waiting.size;
    },
    add(assignment) {
      const { token, startAfterMs = 0 } = assignment;
      const one = { assignment, due: startAfterMs <= 0 };
      waiting.set(token, one);
      if (one.due) return startNext();
      // Not by the time: a timer may ring a little before its own clock says so, and it rings once.
      const ring = (): void => {
        one.due = true;
        startNext();
      };
      timers.set(token, clock.after(startAfterMs, ring));
    },
    remove: (token) => take(token) !== undefined,
    startNext,
    close() {
      const tokens = [...waiting.keys()];
      for (const token of tokens) take(token);
      return tokens;
    },
  };
}
