/**
 * The state machines of a workflow instance, a task instance and an attempt, as data. Every change of state that the
 * engine makes is looked up here first; a pair that is not in a table is a bug and throws.
 */
export type InstanceLiveState = 'queued' | 'running' | 'pausing' | 'paused' | 'stopping';
export type InstanceEndState = 'stopped' | 'failed' | 'succeeded';
export type InstanceState = InstanceLiveState | InstanceEndState;

export type TaskEndState = 'succeeded' | 'failed' | 'skipped' | 'stopped' | 'lost';
export type TaskState = 'waiting' | 'delayed' | 'ready' | 'dispatched' | 'running' | TaskEndState;

export type SubtaskEndState = 'succeeded' | 'failed' | 'lost' | 'stopped' | 'skipped';

export type AttemptEnd = 'succeeded' | 'failed' | 'stopped' | 'lost';
export type AttemptState = 'dispatched' | 'running' | AttemptEnd;

export const INSTANCE_TRANSITIONS: Readonly<Record<InstanceState, readonly InstanceState[]>> = {
  queued: ['running', 'stopping', 'stopped'],
  // Stopped without a request: when nothing failed, and a task that was carried into this generation had been stopped.
  running: ['pausing', 'stopping', 'succeeded', 'failed', 'stopped'],
  pausing: ['paused', 'running', 'stopping', 'succeeded', 'failed', 'stopped'],
  // What its last task waits for may end while it is paused: an operator skips it, or a worker dies with its subtask.
  paused: ['running', 'stopping', 'succeeded', 'failed', 'stopped'],
  stopping: ['stopped'],
  stopped: [],
  failed: [],
  succeeded: [],
};

export const TASK_TRANSITIONS: Readonly<Record<TaskState, readonly TaskState[]>> = {
  // A broadcast runs as soon as its workers are known, or fails for want of them. Succeeded: only because an operator says so.
  waiting: ['delayed', 'ready', 'running', 'skipped', 'failed', 'stopped', 'succeeded'],
  delayed: ['ready', 'running', 'failed', 'skipped', 'stopped'],
  ready: ['dispatched', 'skipped', 'stopped'],
  // An attempt that ends may be followed by another one: at once (ready) or after the retry's delay (delayed).
  dispatched: ['running', 'ready', 'delayed', 'succeeded', 'failed', 'stopped', 'lost'],
  running: ['ready', 'delayed', 'succeeded', 'failed', 'stopped', 'lost'],
  succeeded: [],
  failed: [],
  skipped: [],
  stopped: [],
  lost: [],
};

export const TASK_END_STATES: readonly TaskEndState[] = ['succeeded', 'failed', 'skipped', 'stopped', 'lost'];
export const INSTANCE_END_STATES: readonly InstanceEndState[] = ['stopped', 'failed', 'succeeded'];

/** A transition that no table allows: a bug of the engine, never bad input. */
export class IllegalTransition extends Error {
  override readonly name = 'IllegalTransition';
}

export function assertInstanceTransition(from: InstanceState, to: InstanceState): void {
  if (!INSTANCE_TRANSITIONS[from].includes(to)) throw new IllegalTransition(`instance ${from} → ${to}`);
}

export function assertTaskTransition(from: TaskState, to: TaskState): void {
  if (!TASK_TRANSITIONS[from].includes(to)) throw new IllegalTransition(`task ${from} → ${to}`);
}
