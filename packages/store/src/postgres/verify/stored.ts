import type { HistoryEntry, Reason } from '@keelson/core';

/** Everything that is stored of one instance, all of one moment. Ids are decimal strings. */
export interface StoredInstance {
  readonly id: string;
  readonly versionId: string;
  readonly history: HistoryEntry[];
  live?: StoredLive;
  /** Those after the first. */
  readonly generations: StoredGeneration[];
  readonly ends: { readonly generation: number; readonly state: string; readonly reason: Reason | null }[];
  readonly finished: StoredEnd[];
  readonly earlier: StoredEnd[];
  readonly subtasks: StoredSubtask[];
  readonly broadcasts: StoredBroadcast[];
  readonly active: StoredActive[];
  readonly ready: StoredPlace[];
  readonly delayed: StoredPlace[];
  /** `cause` null: it would stand in line. */
  readonly held: (StoredPlace & { readonly cause: string | null })[];
  readonly counters: { readonly task: string; readonly met: number }[];
  /** Tasks that a command has taken out of the line: `withdrawn`, or `fan-out` after its delay. */
  readonly withdrawn: Set<string>;
}

export interface StoredGeneration {
  readonly generation: number;
  readonly mode: string;
  readonly task: string | null;
  readonly version_id: string;
}

export interface StoredLive {
  readonly generation: number;
  readonly version_id: string;
  readonly state: string;
  readonly unfinished: number;
  readonly failed: number;
  readonly ending: boolean;
  readonly failure: { readonly task: string } | null;
}

export interface StoredEnd {
  readonly generation: number;
  readonly task: string;
  readonly state: string;
  readonly attempt: number;
  readonly attempt_id: string | null;
  readonly incarnation_id: string | null;
  readonly reason: Reason | null;
  /** Of a finished task: the generation in which it ended, when it was carried into this one. */
  readonly carried_from?: number | null;
  /** Of an earlier attempt: the incarnation whose subtask it was, else `0`. */
  readonly subtask?: string;
}

export interface StoredSubtask extends StoredEnd {
  readonly worker: string;
}

/** Counts of a broadcast that is under way. */
export interface StoredBroadcast {
  readonly task: string;
  readonly generation: number;
  readonly phase: string;
  readonly total: number;
  readonly waiting: number;
  readonly running: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly lost: number;
  readonly stopped: number;
  readonly skipped: number;
}

export interface StoredPlace {
  readonly generation: number;
  readonly task: string;
  readonly attempt: number;
}

export interface StoredActive extends StoredPlace {
  readonly id: string;
  readonly incarnation_id: string;
  readonly state: string;
  /** Of a subtask of a broadcast. */
  readonly subtask_index: number | null;
}

/** Notes a difference, if there is one. */
export type Differ = (check: string, task: string | null, expected: unknown, found: unknown) => void;

/** A reason as both sides have it. */
export const plain = (reason: Reason | null | undefined): unknown => reason ?? null;

/** An end as both sides have it. */
export function endOf({ generation, state, attempt, attempt_id, incarnation_id, reason }: StoredEnd): object {
  return { generation, state, attempt, token: attempt_id, incarnation: incarnation_id, reason: plain(reason) };
}
