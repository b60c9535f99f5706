import type { TaskPlan } from '../definition/plan.ts';
import type {
  AlertDraft,
  BroadcastChange,
  DelayedTask,
  EarlierAttempt,
  FinishedSubtask,
  FinishedTask,
  HeldTask,
  InstanceChanges,
  QueuedTask,
  RemainingEnd,
  SubtaskBinding,
  TakenBack,
} from './changes.ts';
import type { HistoryEvent } from './history.ts';
import type { Reason } from './reason.ts';
import type { InstanceEndState } from './states.ts';
import type { AttemptEnded, InstanceView, LiveInstance, TaskRecord } from './view.ts';

/** A decision under way: the view, overlaid by what the events at hand have changed so far. */
export interface Draft {
  readonly view: InstanceView;
  live: LiveInstance;
  end?: { readonly state: InstanceEndState; readonly reason: Reason | null };
  readonly tasks: Map<string, TaskRecord>;
  /** Tasks below which all rows are loaded that a cascade of skips may touch. */
  readonly cascades: Set<string>;
  readonly finished: FinishedTask[];
  readonly earlier: EarlierAttempt[];
  readonly released: string[];
  readonly ready: QueuedTask[];
  readonly delayed: DelayedTask[];
  readonly held: HeldTask[];
  /** Broadcasts that this decision touches. */
  readonly broadcasts: Map<string, BroadcastDraft>;
  readonly subtasks: SubtaskBinding[];
  readonly finishedSubtasks: FinishedSubtask[];
  readonly counters: Map<string, number>;
  readonly droppedCounters: string[];
  withdraw: 'settle' | 'skip' | 'hold' | undefined;
  release: boolean;
  readonly takeBack: TakenBack[];
  shiftPriority: number;
  readonly carried: string[];
  /** Tasks that this very decision had put in line when it turned out that nothing more may start. */
  readonly takenBack: {
    readonly task: string;
    readonly from: 'ready' | 'delayed' | 'held';
    readonly attempt: number;
  }[];
  endRemaining?: RemainingEnd;
  readonly alerts: AlertDraft[];
  readonly events: HistoryEvent[];
}

/** A broadcast as this decision has changed it so far. */
export interface BroadcastDraft {
  change: BroadcastChange;
  /** The workers were looked at in this very decision: nothing of it is written yet. */
  readonly begun: boolean;
  /** Failures that may be retried; whether they are is only known when every event was heard. */
  readonly failures: AttemptEnded[];
  /** Those that are. */
  readonly retried: AttemptEnded[];
  /** Nothing of it is handed over any more: what waits ends when every event was heard, for one of them may end some of that itself. */
  halted?: Reason;
}

export function newDraft(view: InstanceView): Draft {
  return {
    view,
    live: { ...view.live, revision: view.live.revision + 1 },
    tasks: new Map(),
    cascades: new Set(),
    finished: [],
    earlier: [],
    released: [],
    ready: [],
    delayed: [],
    held: [],
    withdraw: undefined,
    release: false,
    takeBack: [],
    shiftPriority: 0,
    carried: [],
    broadcasts: new Map(),
    subtasks: [],
    finishedSubtasks: [],
    counters: new Map(),
    takenBack: [],
    droppedCounters: [],
    alerts: [],
    events: [],
  };
}

export function changesOf(draft: Draft): InstanceChanges {
  const {
    view: _view,
    tasks: _tasks,
    cascades: _cascades,
    takenBack: _takenBack,
    broadcasts,
    withdraw,
    ...changes
  } = draft;
  return {
    ...changes,
    ...(withdraw === undefined ? {} : { withdraw }),
    broadcasts: [...broadcasts.values()].map(({ change }) => change),
  };
}

/** Rows that a decision turned out to need and that were not loaded. */
export interface Missing {
  readonly tasks: readonly string[];
  readonly activeAttempts: boolean;
  /** The instance's broadcasts. */
  readonly broadcasts: boolean;
  /** Tasks whose workers have to be looked at, and locked. */
  readonly workers: readonly string[];
  /** Tasks of which it has to be known which attempts were handed back. */
  readonly handedBack: readonly string[];
  /** The ends of all tasks in the generation before; with outputs only of those named here. */
  readonly prior?: { readonly outputs: readonly string[] };
  /** Tasks of which it has to be known where they are, all read in one statement. */
  readonly places: readonly string[];
}

export const NOTHING_MISSING: Missing = {
  tasks: [],
  activeAttempts: false,
  broadcasts: false,
  workers: [],
  handedBack: [],
  places: [],
};

/** Thrown inside a decision and caught by `decide`: never seen outside. */
export class MissingRows extends Error {
  readonly missing: Missing;
  constructor(missing: Missing) {
    super('rows missing from the view');
    this.missing = missing;
  }
}

export function planned(draft: Draft, task: string): TaskPlan {
  const found = draft.view.plan.tasks.get(task);
  if (found === undefined) throw new Error(`task ${task} is not in version ${draft.live.versionId}`);
  return found;
}

const FRESH: TaskRecord = { met: 0 };

/** A task with one need has no rows before that need ends, so there is nothing to load for it: but see `mayHaveRows`. */
export function needsRecord(task: TaskPlan): boolean {
  return task.needs.length > 1;
}

/** Whether rows of a task have to be looked for while one of its needs has not ended. */
export function mayHaveRows(draft: Draft, task: TaskPlan): boolean {
  return draft.live.endedAhead || needsRecord(task);
}

export function recordOf(draft: Draft, task: string): TaskRecord {
  return draft.tasks.get(task) ?? draft.view.tasks.get(task) ?? FRESH;
}

/** Throws `MissingRows`, all of them at once, if one of these tasks' rows has not been loaded. */
export function requireRecords(draft: Draft, tasks: Iterable<string>): void {
  const missing: string[] = [];
  for (const task of tasks) if (!draft.tasks.has(task) && !draft.view.tasks.has(task)) missing.push(task);
  if (missing.length > 0) throw new MissingRows({ ...NOTHING_MISSING, tasks: missing });
}
