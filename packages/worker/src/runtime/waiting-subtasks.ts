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
  const waiting = new Map<string, { readonly assignment: Assignment; readonly notBefore: number }>();
  const timers = new Map<string, () => void>();

  function take(token: string): Assignment | undefined {
    timers.get(token)?.();
    timers.delete(token);
    const assignment = waiting.get(token)?.assignment;
    waiting.delete(token);
    return assignment;
  }

  function startNext(): void {
    for (const [token, { notBefore }] of waiting) {
      if (freeSlots() <= 0) return;
      if (notBefore > clock.now()) continue;
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
      waiting.set(token, { assignment, notBefore: clock.now() + startAfterMs });
      if (startAfterMs > 0) timers.set(token, clock.after(startAfterMs, startNext));
      else startNext();
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
