import type { Clock, Random, Reason } from '@keelson/core';
import type { BoundAttempt, FollowupKind, MasterStore, Signals } from '@keelson/store';
import type { Logger } from 'pino';
import type { Complaints } from './complaints.ts';
import type { Crowd } from './crowd.ts';
import type { Line } from './line.ts';
import type { MasterMetrics } from './metrics.ts';
import type { Plans } from './plans.ts';
import type { Sessions } from './sessions.ts';

/** What the parts of a master share. None of it outlives the process, and none of it is believed against the database. */
export interface MasterContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly store: MasterStore;
  readonly signals: Signals;
  readonly log: Logger;
  readonly plans: Plans;
  readonly sessions: Sessions;
  readonly line: Line;
  readonly crowd: Crowd;
  readonly metrics: MasterMetrics;
  /** What callers do wrong, said once. */
  readonly complaints: Complaints;
  /** Ends an attempt whose input cannot be rendered: it fails without having run. */
  refuse(attempt: BoundAttempt, reason: Reason): void;
  /** The attempt's end was reported and is being applied: the worker is done with it, whatever the database says yet. */
  isEnding(attemptId: string): boolean;
  /** This master is about to stop: nobody is to wait for it. */
  closing(): boolean;
  /** Servers that workers are told they may call, as far as any are advertised. */
  gateways: readonly string[];
  /** Loops of this master that have something to do now. */
  readonly wake: { commands(): void; claims(): void; due(): void; followup(kind: FollowupKind): void };
}
