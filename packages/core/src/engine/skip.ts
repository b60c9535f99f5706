import type { FinishedTask } from './changes.ts';
import { MissingRows, NOTHING_MISSING, planned, recordOf, requireRecords } from './draft.ts';
import type { Draft } from './draft.ts';
import { leaveLine } from './line.ts';
import { applies, heeds } from './operate.ts';
import { answerSkip, SKIPPED_BY_OPERATOR, TASK_OPERATION_TABLE, unknownTask } from './operations.ts';
import type { OperationAnswer } from './operations.ts';
import { endTask } from './progress.ts';
import type { EngineEvent, TaskPlace } from './view.ts';

/**
 * An operator skips a task that no worker has. What is in line may be claimed at this moment: it is taken back first, and skipped by the
 * `withdrawn` command that comes of that.
 */
export function skipTask(draft: Draft, task: string, by: string, events: readonly EngineEvent[]): void {
  if (!applies(draft, 'skip-task', by, task)) return;
  const answer = answerFor(draft, task, events);
  if (!heeds(draft, answer, 'skip-task', by, task)) return;
  if (draft.takeBack.some((one) => one.task === task)) return;
  draft.events.push({ type: 'skip-requested', task, by });
  const here = leaveLine(draft, task);
  if (here !== undefined) return endTask(draft, here, skippedBy(task, by));
  if (draft.live.begun && placeOf(draft, task, events) !== 'none') return void draft.takeBack.push({ task, by });
  if (!draft.live.endedAhead) {
    draft.live = { ...draft.live, endedAhead: true };
    // More tasks may have rows than before.
    draft.cascades.clear();
  }
  endTask(draft, 'waiting', skippedBy(task, by));
}

function answerFor(draft: Draft, task: string, events: readonly EngineEvent[]): OperationAnswer {
  if (!draft.view.plan.tasks.has(task)) return unknownTask(task);
  if (!draft.tasks.has(task) && !draft.view.tasks.has(task)) requireAll(draft, events);
  const { end } = recordOf(draft, task);
  if (end !== undefined) return answerSkip(end.state, end.code);
  const running = TASK_OPERATION_TABLE['skip-task'].running;
  if (draft.broadcasts.get(task)?.begun === true) return running;
  if (!draft.live.begun || isInLine(draft, task)) return { kind: 'apply' };
  return placeOf(draft, task, events) === 'active' ? running : { kind: 'apply' };
}

function isInLine({ ready, delayed, held }: Draft, task: string): boolean {
  return [ready, delayed, held].some((line) => line.some((one) => one.task === task));
}

export function skippedBy(task: string, by: string): FinishedTask {
  return { task, state: 'skipped', attempt: 0, reason: { code: SKIPPED_BY_OPERATOR, message: `skipped by ${by}` } };
}

/** Of all tasks that these events skip, at once: each round of loading is a round trip under the lock. */
function requireAll(draft: Draft, events: readonly EngineEvent[]): void {
  const records = new Set<string>();
  for (const task of named(draft, events)) {
    records.add(task);
    for (const id of planned(draft, task).successors) {
      records.add(id);
      for (const ref of planned(draft, id).conditionRefs) records.add(ref);
    }
  }
  requireRecords(draft, records);
}

function placeOf(draft: Draft, task: string, events: readonly EngineEvent[]): TaskPlace {
  const known = draft.view.places?.get(task);
  if (known === undefined) throw new MissingRows({ ...NOTHING_MISSING, places: named(draft, events) });
  return known;
}

function named({ view: { plan } }: Draft, events: readonly EngineEvent[]): string[] {
  const tasks = events.flatMap((event) =>
    event.type === 'skip-task' && plan.tasks.has(event.task) ? [event.task] : [],
  );
  return [...new Set(tasks)];
}
