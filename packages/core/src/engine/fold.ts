import type { WorkflowDefinition } from '../definition/model.ts';
import { applyEvent } from './fold-event.ts';
import { freshTasks, violate } from './folded.ts';
import type { Fold, FoldedInstance, HistoryEntry, Versions } from './folded.ts';

/**
 * Folds a history, oldest entry first, into the state that it tells. Never throws for what it reads: what the rules forbid is a
 * violation, and the fold goes on as if the event were right, so that one mistake is told once.
 *
 * @param definition of the version that the instance was created with: its tasks and what they need
 * @param versions definitions of the versions that later generations may have; one that is not known counts as the same as before
 */
export function foldHistory(
  entries: Iterable<HistoryEntry>,
  definition: WorkflowDefinition,
  versions: Versions = () => undefined,
): FoldedInstance {
  const tasks = freshTasks(definition);
  const folded: FoldedInstance = {
    generation: 1,
    version: '',
    started: false,
    state: 'running',
    ending: false,
    failures: [],
    stopped: [],
    tasks,
    unfinished: tasks.size,
    previous: [],
    violations: [],
  };
  const fold: Fold = { folded, versions, tasks, definition, entry: '', repair: false, between: new Set() };
  for (const entry of entries) {
    Object.assign(fold, { entry: entry.id, repair: isRepair(entry), between: new Set() });
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
