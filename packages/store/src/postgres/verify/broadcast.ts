import type { FoldedGeneration, FoldedSubtask, FoldedTask } from '@keelson/core';
import { endOf, plain } from './stored.ts';
import type { Differ, StoredInstance } from './stored.ts';

/** Every subtask is where its history says, on its own worker. */
export function compareBroadcasts(stored: StoredInstance, folded: FoldedGeneration, differ: Differ): void {
  const spread = stored.subtasks.length + stored.broadcasts.length > 0;
  if (!spread && [...folded.tasks.values()].every(({ subtasks }) => subtasks === undefined)) return;
  for (const [id, task] of folded.tasks) {
    const { subtasks = [] } = task;
    const ended = stored.subtasks.filter((row) => row.task === id);
    for (const subtask of subtasks) compareSubtask(stored, folded.generation, id, subtask, differ);
    const strangers = ended.filter((row) => subtasks.every(({ incarnation }) => incarnation !== row.incarnation_id));
    for (const row of strangers) differ('subtask', id, undefined, endOf(row));
    compareCounts(stored, id, task, differ);
  }
}

function compareSubtask(
  stored: StoredInstance,
  generation: number,
  id: string,
  { index, incarnation, worker, active, attempts, end }: FoldedSubtask,
  differ: Differ,
): void {
  const ended = stored.subtasks.find((row) => row.task === id && row.incarnation_id === incarnation);
  differ(
    'subtask',
    id,
    end && {
      generation,
      state: end.state,
      attempt: end.attempt,
      // Those that were withdrawn together are told without their tokens.
      token: end.attemptId ?? ended?.attempt_id ?? null,
      incarnation,
      reason: plain(end.reason),
      worker,
    },
    ended && { ...endOf(ended), worker: ended.worker },
  );
  const held = stored.active.filter((row) => row.task === id && row.subtask_index === index);
  const isBound = end === undefined && attempts.length === 0;
  const expected =
    active ?? (isBound ? { attempt: 1, incarnation, state: 'bound', attemptId: held[0]?.id } : undefined);
  differ(
    'active-subtask',
    id,
    expected === undefined ? [] : [[expected.attempt, expected.attemptId, expected.incarnation, expected.state]],
    held.map((row) => [row.attempt, row.id, row.incarnation_id, row.state]),
  );
  const before = attempts.filter((one) => one !== active && one.attemptId !== end?.attemptId);
  differ(
    'earlier-attempts',
    id,
    before.map((one) => [one.attempt, one.attemptId, one.state, plain(one.reason)]),
    stored.earlier
      .filter((row) => row.task === id && row.subtask === incarnation)
      .toSorted((one, other) => one.attempt - other.attempt)
      .map((row) => [row.attempt, row.attempt_id, row.state, plain(row.reason)]),
  );
}

function compareCounts(
  { broadcasts }: StoredInstance,
  id: string,
  { subtasks, end }: FoldedTask,
  differ: Differ,
): void {
  const row = broadcasts.find(({ task }) => task === id);
  // Before its workers are known there is a row only if it has a step before them.
  if (subtasks === undefined && end === undefined) return;
  const count = (state: string): number => (subtasks ?? []).filter((one) => one.end?.state === state).length;
  const open = (subtasks ?? []).filter((one) => one.end === undefined);
  const waiting = open.filter(({ attempts }) => attempts.length === 0).length;
  differ(
    'broadcast',
    id,
    end !== undefined
      ? undefined
      : {
          total: subtasks?.length ?? 0,
          waiting,
          running: open.length - waiting,
          succeeded: count('succeeded'),
          failed: count('failed'),
          lost: count('lost'),
          stopped: count('stopped'),
          skipped: count('skipped'),
        },
    row && {
      total: row.total,
      waiting: row.waiting,
      running: row.running,
      succeeded: row.succeeded,
      failed: row.failed,
      lost: row.lost,
      stopped: row.stopped,
      skipped: row.skipped,
    },
  );
}
