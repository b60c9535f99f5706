/**
 * The state machines of a workflow instance, a task instance and an attempt, as data. Every change of state that the
 * engine makes is looked up here first; a pair that is not in a table is a bug and throws.
 */
export type InstanceState =
  | 'queued' | 'running' | 'pausing' | 'paused' | 'stopping'
  | InstanceEndState;
export type InstanceEndState = 'stopped' | 'failed' | 'succeeded';

export type TaskState = 'waiting' | 'delayed' | 'ready' | 'dispatched' | 'running' | TaskEndState;
export type TaskEndState = 'succeeded' | 'failed' | 'skipped' | 'stopped' | 'lost';

export type AttemptState = 'dispatched' | 'running' | AttemptEnd;
export type AttemptEnd = 'succeeded' | 'failed' | 'stopped' | 'lost';

export const TASK_END_STATES: readonly TaskEndState[] = ['succeeded', 'failed', 'skipped', 'stopped', 'lost'];
export const INSTANCE_END_STATES: readonly InstanceEndState[] = ['stopped', 'failed', 'succeeded'];
