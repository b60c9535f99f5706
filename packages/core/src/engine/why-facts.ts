import type { ConcurrencyPolicy } from '../definition/model.ts';
import type { JsonObject } from '../json.ts';
import type { Reason } from './reason.ts';
import type { InstanceState, TaskEndState, TaskState } from './states.ts';

/** What is known about an instance's unfinished tasks, all read at one moment. Times are RFC 3339 in UTC. */
export interface WaitFacts {
  readonly now: string;
  readonly instance: {
    readonly id: string;
    readonly state: InstanceState;
    readonly policy: ConcurrencyPolicy;
    readonly reason: Reason | null;
    /** Of one that is queued. */
    readonly queue?: QueueFacts;
  };
  /** In the order of the definition, without those that succeeded. Empty while nothing is wrong with an ended instance. */
  readonly tasks: readonly TaskFacts[];
  /** Steps of the engine that are still to be made for this instance, oldest first. */
  readonly commands: readonly CommandFacts[];
  /** Steps that could not be made. */
  readonly parked: readonly {
    readonly kind: string;
    readonly tries: number;
    readonly error: string;
    readonly at: string;
  }[];
  /** One entry for each worker group that a ready task waits for. */
  readonly groups: Readonly<Record<string, readonly WorkerFacts[]>>;
}

/** The slots under a workflow's limit as it is now, and how many instances are to get one before this one. */
export interface QueueFacts {
  readonly policy: ConcurrencyPolicy;
  readonly slots: number | null;
  readonly used: number;
  /** Instances that have a slot, oldest first; a few of them. */
  readonly holders: readonly string[];
  readonly ahead: number;
}

/** A broadcast whose subtasks are under way. */
export interface BroadcastFacts {
  readonly task: string;
  readonly state: 'running';
  readonly since: string;
  readonly broadcast: {
    readonly total: number;
    /** Bound to their workers, and not handed over yet. */
    readonly waiting: number;
    readonly succeeded: number;
    readonly failed: number;
    readonly lost: number;
    /** Places for subtasks at once. */
    readonly parallel: number;
  };
  /** Of the subtasks that were handed over and have not ended. */
  readonly holders: readonly {
    readonly worker: string;
    readonly state: 'dispatched' | 'running';
    readonly killReason: 'stop' | 'timeout' | null;
    readonly leaseUntil: string;
  }[];
}

/** A task that would be in line, or delayed for a cause, if its instance were not pausing or paused. */
export interface HeldFacts {
  readonly task: string;
  readonly state: 'ready' | 'delayed';
  readonly held: true;
  readonly attempt: number;
  readonly cause: 'delay' | 'retry' | null;
  readonly delayLeftMs: number;
}

export type TaskFacts =
  | BroadcastFacts
  | HeldFacts
  | { readonly task: string; readonly state: 'waiting'; readonly unmet: readonly UnmetNeed[] }
  | {
      readonly task: string;
      readonly state: 'delayed';
      readonly cause: 'delay' | 'retry';
      readonly attempt: number;
      readonly dueAt: string;
    }
  | {
      readonly task: string;
      readonly state: 'ready';
      readonly since: string;
      readonly group: string;
      readonly capability: string;
      /** 1 is the next to be claimed, among the tasks that want the same group and capability. */
      readonly position: number;
    }
  | {
      readonly task: string;
      readonly state: 'dispatched' | 'running';
      readonly attempt: number;
      readonly since: string;
      readonly killReason: 'stop' | 'timeout' | null;
      readonly progress: JsonObject | null;
      readonly worker: {
        readonly name: string;
        readonly state: 'live' | 'draining' | 'dead';
        readonly leaseUntil: string;
      };
    }
  | {
      readonly task: string;
      readonly state: Exclude<TaskEndState, 'succeeded'>;
      readonly reason: Reason | null;
      readonly endedAt: string;
      /** The generation in which it ended, when it was carried into this one. */
      readonly carriedFrom?: number;
    };

export interface UnmetNeed {
  readonly task: string;
  readonly state: TaskState;
}

export interface CommandFacts {
  readonly kind: string;
  readonly createdAt: string;
  readonly tries: number;
  readonly lastError: string | null;
  /** Null: at once. */
  readonly notBefore: string | null;
}

/** A live worker (not a draining one) of a group. */
export interface WorkerFacts {
  readonly name: string;
  readonly capabilities: readonly string[];
  readonly slots: number;
  readonly inUse: number;
}
