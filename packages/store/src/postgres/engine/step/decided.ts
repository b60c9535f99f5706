import type { InstanceChanges } from '@keelson/core';
import type { Placement } from '../../../engine.ts';
import type { Call } from '../../connection/session.ts';

/** One decided instance, ready to be written. */
export interface Decided {
  readonly id: string;
  readonly generation: number;
  readonly changes: InstanceChanges;
  readonly placements: readonly Placement[];
  /** Group, capability and priority of tasks that are delayed, in the order of `changes.delayed`. */
  readonly delayedAs: readonly Placement[];
  /** The same of those in `changes.held`. */
  readonly heldAs: readonly Placement[];
  /** Before this decision it was pausing or paused: tasks of it may be held. */
  readonly mayHold: boolean;
  /** Random: the nonces of subtasks are made from it. */
  readonly nonce: () => string;
  /** Names of all tasks; only read when the remaining ones are ended. */
  readonly allTasks: () => readonly string[];
}

/** Adds a call for rows, unless there are none. */
export type Push = (rows: readonly unknown[], make: () => Call) => void;

/** JSON text for a jsonb column; null for nothing. */
export const json = (value: unknown): string | null =>
  value === undefined || value === null ? null : JSON.stringify(value);

/** A change of an instance with what its rows are keyed by. */
export interface Keyed<T> {
  readonly id: string;
  readonly generation: number;
  readonly item: T;
}

/** Such changes of all instances, in the order of the instances. */
export function gather<T>(decided: readonly Decided[], items: (one: Decided) => readonly T[]): Keyed<T>[] {
  const all: Keyed<T>[] = [];
  for (const one of decided) for (const item of items(one)) all.push({ id: one.id, generation: one.generation, item });
  return all;
}

/** Columns of rows, as arrays for `unnest`. */
export const ids = (rows: readonly { readonly id: string }[]): string[] => rows.map(({ id }) => id);
export const generations = (rows: readonly { readonly generation: number }[]): number[] =>
  rows.map(({ generation }) => generation);
