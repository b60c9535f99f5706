import { isDeepStrictEqual } from 'node:util';
import { foldHistory, meetsNeed } from '@keelson/core';
import type { FoldedGeneration, FoldedInstance, FoldedTask, Versions, WorkflowDefinition } from '@keelson/core';
import type { Violation } from '../../verify.ts';
import { compareBroadcasts } from './broadcast.ts';
import { endOf, plain } from './stored.ts';
import type { Differ, StoredInstance } from './stored.ts';

const text = (value: unknown): string => (value === undefined ? 'no row' : JSON.stringify(value));

/**
 * Folds the history of an instance and says where its rows differ from it. Pure: the simulation and the verifier share it.
 *
 * @param definition of the version that it was created with
 * @param versions those of its later generations
 */
export function compareInstance(
  stored: StoredInstance,
  definition: WorkflowDefinition,
  versions: Versions = () => undefined,
): Violation[] {
  const folded = foldHistory(stored.history, definition, versions);
  const violations: Violation[] = folded.violations.map(({ code, task, entry, message }) => ({
    instanceId: stored.id,
    task: task ?? null,
    check: code,
    expected: 'a history that keeps the rules',
    found: `entry ${entry}: ${message}`,
  }));
  const differ: Differ = (check, task, expected, found) => {
    if (isDeepStrictEqual(expected, found)) return;
    violations.push({ instanceId: stored.id, task, check, expected: text(expected), found: text(found) });
  };
  compareWhole(stored, folded, differ);
  for (const generation of [...folded.previous, folded]) {
    const own = ofGeneration(stored, generation, generation === folded);
    compareEnds(own, generation, differ);
    compareBroadcasts(own, generation, differ);
  }
  comparePlaces(stored, folded, differ);
  const current = versions(folded.version) ?? definition;
  if (folded.end === undefined && GOING.has(folded.state) && folded.started)
    compareCounters(stored, folded, current, differ);
  return violations;
}

const GOING: ReadonlySet<string> = new Set(['running', 'pausing', 'paused']);

/** What ended in one generation; what is under way belongs to the last one, whatever its rows say. */
function ofGeneration(stored: StoredInstance, { generation }: FoldedGeneration, last: boolean): StoredInstance {
  const own = (row: { readonly generation: number }): boolean =>
    row.generation === generation || (last && row.generation > generation);
  return {
    ...stored,
    finished: stored.finished.filter(own),
    earlier: stored.earlier.filter(own),
    subtasks: stored.subtasks.filter(own),
    active: last ? stored.active : [],
    broadcasts: last ? stored.broadcasts : [],
  };
}

function compareWhole(stored: StoredInstance, folded: FoldedInstance, differ: Differ): void {
  if (folded.created === undefined) return differ('creation', null, 'instance-created', 'a history without it');
  if (folded.created.version !== '') differ('version', null, folded.created.version, stored.versionId);
  const ended = folded.end !== undefined;
  const told = [...folded.previous, folded];
  differ(
    'generation',
    null,
    told
      .filter(({ generation }) => generation > 1)
      .map(({ generation, mode, modeTask = null, version }) => ({ generation, mode, task: modeTask, version })),
    stored.generations.map(({ generation, mode, task, version_id }) => ({
      generation,
      mode,
      task,
      version: version_id,
    })),
  );
  differ(
    'end-row',
    null,
    told.flatMap(({ generation, end }) =>
      end === undefined ? [] : [{ generation, state: end.state, reason: plain(end.reason) }],
    ),
    stored.ends.map(({ generation, state, reason }) => ({ generation, state, reason: plain(reason) })),
  );
  const { live } = stored;
  differ(
    'live-row',
    null,
    ended
      ? undefined
      : {
          generation: folded.generation,
          version: folded.version === '' ? live?.version_id : folded.version,
          state: folded.state,
          unfinished: folded.unfinished,
          failed: folded.failures.length,
          ending: folded.ending,
          failure: folded.failures[0] ?? folded.stopped[0] ?? null,
        },
    live === undefined
      ? undefined
      : {
          generation: live.generation,
          version: live.version_id,
          state: live.state,
          unfinished: live.unfinished,
          failed: live.failed,
          ending: live.ending,
          failure: live.failure?.task ?? null,
        },
  );
}

function compareEnds(stored: StoredInstance, folded: FoldedGeneration, differ: Differ): void {
  const rows = new Map(stored.finished.map((row) => [row.task, row]));
  const { generation } = folded;
  for (const [id, task] of folded.tasks) {
    const row = rows.get(id);
    rows.delete(id);
    const end = task.end;
    differ(
      'finished-task',
      id,
      end === undefined
        ? undefined
        : {
            generation,
            state: end.state,
            attempt: end.attempt,
            token: end.attemptId ?? null,
            incarnation: incarnationOf(task, end.attemptId),
            reason: plain(end.reason),
            carriedFrom: task.carriedFrom ?? null,
          },
      row === undefined ? undefined : { ...endOf(row), carriedFrom: row.carried_from ?? null },
    );
    const earlier = stored.earlier
      .filter((one) => one.task === id && (one.subtask ?? '0') === '0')
      .toSorted((one, other) => one.attempt - other.attempt);
    const before = task.attempts.filter((one) => one !== task.active && one.attemptId !== end?.attemptId);
    if (earlier.length === 0 && before.length === 0) continue;
    differ(
      'earlier-attempts',
      id,
      before.map(({ attempt, attemptId, incarnation, state, reason }) => ({
        generation,
        state,
        attempt,
        token: attemptId,
        incarnation,
        reason: plain(reason),
      })),
      earlier.map(endOf),
    );
  }
  for (const [id, row] of rows) differ('finished-task', id, undefined, endOf(row));
  for (const { task } of stored.earlier)
    if (!folded.tasks.has(task)) differ('earlier-attempts', task, undefined, 'a task that the version does not have');
}

function incarnationOf(task: FoldedTask, attemptId: string | undefined): string | null {
  return task.attempts.find((attempt) => attempt.attemptId === attemptId)?.incarnation ?? null;
}

function comparePlaces(stored: StoredInstance, folded: FoldedInstance, differ: Differ): void {
  const { generation } = folded;
  const active = byTask(stored.active.filter(({ subtask_index }) => subtask_index === null));
  // What a pause holds is told as in line, or delayed; then nothing is in the tables of these.
  const holding = folded.state === 'pausing' || folded.state === 'paused';
  const ready = byTask(holding ? stored.held.filter(({ cause }) => cause === null) : stored.ready);
  const delayed = byTask(holding ? stored.held.filter(({ cause }) => cause !== null) : stored.delayed);
  for (const { task } of holding ? [...stored.ready, ...stored.delayed] : stored.held)
    differ('held', task, holding ? 'held' : 'not held', holding ? 'not held' : 'held');
  // A stop takes out of the line what ends with the instance, later.
  const takenBack = (id: string) => folded.state === 'stopping' || stored.withdrawn.has(id);
  for (const [id, task] of folded.tasks) {
    const held = task.active;
    const expected = held && [
      {
        generation,
        attempt: held.attempt,
        token: held.attemptId,
        incarnation: held.incarnation,
        state: held.state,
      },
    ];
    const found = active.get(id)?.map((row) => ({
      generation: row.generation,
      attempt: row.attempt,
      token: row.id,
      incarnation: row.incarnation_id,
      state: row.state,
    }));
    if (expected !== undefined || found !== undefined) differ('active', id, expected, found);
    for (const [place, rows] of [
      ['ready', ready],
      ['delayed', delayed],
    ] as const) {
      const row = rows.get(id)?.map((one) => ({ generation: one.generation, attempt: one.attempt }));
      const told = task.state === place ? [{ generation, attempt: task.attempt }] : undefined;
      if (told === undefined && row === undefined) continue;
      if (row === undefined && takenBack(id)) continue;
      differ(place, id, told, row);
    }
  }
}

function compareCounters(
  stored: StoredInstance,
  folded: FoldedInstance,
  definition: WorkflowDefinition,
  differ: Differ,
): void {
  const counted = new Map(stored.counters.map(({ task, met }) => [task, met]));
  for (const [id, task] of folded.tasks) {
    const needs = Object.entries(definition.tasks[id]?.needs ?? {});
    const waiting = task.state === 'waiting';
    const met = needs.filter(([need, accepts]) => {
      const end = folded.tasks.get(need)?.end;
      return meetsNeed(accepts, end && { state: end.state, code: end.reason?.code });
    }).length;
    const expected = waiting && needs.length > 1 && met > 0 ? met : undefined;
    const found = counted.get(id);
    if (expected !== undefined || found !== undefined) differ('need-counter', id, expected, found);
    const over = needs.every(([need]) => folded.tasks.get(need)?.end !== undefined);
    if (waiting && over) differ('undecided', id, 'a decision: all that it needs has ended', 'waiting');
  }
}

function byTask<Row extends { readonly task: string }>(rows: readonly Row[]): Map<string, Row[]> {
  return Map.groupBy(rows, ({ task }) => task);
}
