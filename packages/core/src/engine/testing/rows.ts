import type { WorkflowDefinition } from '../../definition/model.ts';
import { compileWorkflow } from '../../definition/plan.ts';
import type { HeldTask, InstanceChanges } from '../changes.ts';
import type { HistoryEntry } from '../folded.ts';
import type { HistoryEvent } from '../history.ts';
import type { Reason } from '../reason.ts';
import type { TaskEndState } from '../states.ts';
import type { ActiveAttempt, BroadcastRecord, EngineEvent, LiveInstance, PriorEnd, SnapshotWorker } from '../view.ts';

/** An instance's rows as the store would hold them, and its history. */
export function newRows(definition: WorkflowDefinition, queued: boolean) {
  const history: HistoryEntry[] = [];
  return {
    definition,
    plan: compileWorkflow(definition),
    live: freshLive(definition, 1, queued),
    state: { loads: 0 } as { end?: string; reason?: Reason | null; loads: number },
    counters: new Map<string, number>(),
    ends: new Map<string, TaskEndState>(),
    ready: new Map<string, Lined>(),
    delayed: new Map<string, Lined>(),
    held: new Map<string, HeldTask>(),
    active: new Map<string, ActiveAttempt>(),
    commands: (queued ? [] : [{ type: 'start' }]) as EngineEvent[],
    finished: new Map<string, InstanceChanges['finished'][number]>(),
    /** How the tasks ended in the generation before, and their rows. */
    prior: new Map<string, PriorEnd>(),
    priorRows: new Map<string, InstanceChanges['finished'][number]>(),
    /** Those of them that hold in this generation. */
    carried: new Set<string>(),
    earlier: [] as InstanceChanges['earlier'][number][],
    broadcasts: new Map<string, BroadcastRecord>(),
    finishedSubtasks: [] as InstanceChanges['finishedSubtasks'][number][],
    /** Alive: a broadcast that begins now is given to these. */
    workers: [] as SnapshotWorker[],
    lastAttempt: 0,
    /** What claims and timers do while a step waits for the rows that it takes out of the line. */
    meanwhile: (): void => undefined,
    history,
    note: (events: readonly HistoryEvent[]): void => {
      if (events.length > 0) history.push({ id: String(history.length + 1), events });
    },
  };
}

export type Rows = ReturnType<typeof newRows>;

export interface Lined {
  readonly attempt: number;
  readonly losses: number;
  readonly cause?: 'delay' | 'retry';
  readonly fanOut?: true;
}

/** The live row that a start or a new generation makes. */
export function freshLive(definition: WorkflowDefinition, generation: number, queued: boolean): LiveInstance {
  return {
    id: '1',
    versionId: '1',
    generation,
    revision: 0,
    state: queued ? 'queued' : 'running',
    begun: false,
    endedAhead: false,
    unfinished: Object.keys(definition.tasks).length,
    failed: 0,
    ending: false,
    hasArtifacts: false,
    failure: null,
    priority: 0,
  };
}

export function must(holds: boolean, message: string): asserts holds {
  if (!holds) throw new Error(message);
}
