import type { Assignment } from '@keelson/protocol';
import type { AttemptEnd, RunningAttempt } from '../attempt/attempt.ts';

/** What an attempt is told of, and tells, while it runs. */
export interface AttemptEvents {
  progress(token: string, fraction: number, message: string | undefined): void;
  /** Called once, when everything that must precede its report is done. */
  ended(end: AttemptEnd): void;
}

/** Runs the attempts of one incarnation: processes and directories, or what a simulation puts in their place. */
export type AttemptRunner = (assignment: Assignment, events: AttemptEvents) => RunningAttempt;
