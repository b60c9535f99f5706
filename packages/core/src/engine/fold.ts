import type { WorkflowDefinition } from '../definition/model.ts';
import { applyEvent } from './fold-event.ts';
import { violate } from './folded.ts';
import type { Fold, FoldedInstance, FoldedTask, HistoryEntry } from './folded.ts';

/**
 * Folds a history, oldest entry first, into the state that it tells. Never throws for what it reads: what the rules forbid is a
 * violation, and the fold goes on as if the event were right, so that one mistake is told once.
 *
 * @param definition of the version that the instance runs: its tasks and what they need
 */
export function foldHistory(entries: Iterable<HistoryEntry>, definition: WorkflowDefinition): FoldedInstance {
  const tasks = new Map<string, FoldedTask>();
  for (const id of Object.keys(definition.tasks)) tasks.set(id, { state: 'waiting', attempt: 0, attempts: [] });
  const folded: FoldedInstance = {
    generation: 1,
    started: false,
    state: 'running',
    ending: false,
    failures: [],
    tasks,
    unfinished: tasks.size,
    violations: [],
  };
  for (const entry of entries) {
    const fold: Fold = { folded, tasks, definition, entry: entry.id, repair: isRepair(entry), between: new Set() };
    for (const event of entry.events) applyEvent(fold, event);
    for (const task of fold.between)
      violate(
        fold,
        'attempt-without-successor',
        'the attempt ended, and neither the task nor another attempt follows',
        task,
      );
  }
  return folded;
}

function isRepair({ events }: HistoryEntry): boolean {
  return events[0]?.type === 'repaired';
}
