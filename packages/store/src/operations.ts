import type { GenerationMode, InstanceLiveState, JsonObject, TaskState } from '@keelson/core';

export type { GenerationMode } from '@keelson/core';

/**
 * What people ask of instances that are there. What is answered `requested` is a command in the same commit; a master applies commands in
 * the order in which they were asked for. Everything here may be asked again after an unknown outcome.
 */
export interface Operations {
  /**
   * Leaves a command, unless the instance is, or by the commands that wait will be, as asked already.
   *
   * @param by who asks, for the history
   */
  operate(instanceId: string, operation: LiveOperation, by: string): Promise<OperationOutcome>;
  /** Lets an instance that has ended live again, in its next generation. */
  beginGeneration(request: GenerationRequest): Promise<GenerationOutcome>;
}

/** An operation on an instance that is alive. */
export type LiveOperation =
  | { readonly type: 'pause' }
  | { readonly type: 'resume' }
  | { readonly type: 'stop' }
  | { readonly type: 'skip-task'; readonly task: string }
  | { readonly type: 'set-priority'; readonly priority: number };

/** `state` is the one that the instance will be in once the commands that wait are applied. */
export type OperationOutcome =
  | { readonly kind: 'requested'; readonly state: InstanceLiveState }
  /** It is so already, or a command says so already. */
  | { readonly kind: 'already'; readonly state: InstanceLiveState }
  /** In this state it makes no sense. Nothing was written. */
  | { readonly kind: 'refused'; readonly state: InstanceLiveState }
  /** The task is in a state from which it cannot be skipped. Nothing was written. */
  | { readonly kind: 'task-refused'; readonly taskState: TaskState }
  | { readonly kind: 'ended' }
  | { readonly kind: 'unknown' };

export interface GenerationRequest {
  readonly instanceId: string;
  /** The ended generation that the new one follows: the one that the caller saw. */
  readonly after: number;
  readonly mode: GenerationMode;
  /** Of `from`, `only` and `force-success`. */
  readonly task?: string;
  readonly versionId: string;
  /** How many tasks that version has. */
  readonly taskCount: number;
  /** Resolved, as at a start. */
  readonly params: JsonObject;
  readonly by: string;
}

export type GenerationOutcome =
  | { readonly kind: 'begun'; readonly generation: number; readonly state: 'queued' | 'running' }
  /** The generation that was named was followed by exactly this one. */
  | { readonly kind: 'already'; readonly generation: number }
  /** It is alive, in another generation than this request would make. */
  | { readonly kind: 'live'; readonly generation: number; readonly state: InstanceLiveState }
  /** It has ended in another generation than the one that was named. */
  | { readonly kind: 'changed'; readonly generation: number }
  | { readonly kind: 'unknown' };
