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
  };
  /** In the order of the definition; tasks that succeeded are left out. */
  readonly tasks: readonly TaskFacts[];
  /** Steps of the engine that are still to be made for this instance, oldest first. */
  readonly commands: readonly CommandFacts[];
  /** Steps that could not be made. */
  readonly parked: readonly { readonly kind: string; readonly tries: number; readonly error: string; readonly at: string }[];
  /** One entry for each worker group that a ready task waits for. */
  readonly groups: Readonly<Record<string, readonly WorkerFacts[]>>;
}

export type TaskFacts =
  | { readonly task: string; readonly state: 'waiting'; readonly unmet: readonly UnmetNeed[] }
  | { readonly task: string; readonly state: 'delayed'; readonly cause: 'delay' | 'retry'; readonly attempt: number; readonly dueAt: string }
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
      readonly worker: { readonly name: string; readonly state: 'live' | 'draining' | 'dead'; readonly leaseUntil: string };
    }
  | { readonly task: string; readonly state: Exclude<TaskEndState, 'succeeded'>; readonly reason: Reason | null };

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

export type WaitCode =
  | 'waiting-for-upstream'
  | 'delayed'
  | 'retry-delay'
  | 'no-worker-in-group'
  | 'no-worker-with-capability'
  | 'group-full'
  | 'about-to-start'
  | 'dispatched'
  | 'running'
  | 'stopping'
  | 'worker-lost'
  | 'command-waiting'
  | 'command-retrying'
  | 'command-parked'
  | 'serial-policy'
  | 'paused'
  /** Nothing is under way that could move it: a bug, which `keelson doctor` names. */
  | 'no-driver';

export interface TaskExplanation {
  /** Null: it holds for the instance as a whole. */
  readonly task: string | null;
  readonly state: TaskState | InstanceState;
  /** A `WaitCode`; for a task that has ended without success, the code of its reason. */
  readonly code: string;
  readonly message: string;
}

/** One explanation for each task in `facts`, behind those that hold for the whole instance. */
export function explain(facts: WaitFacts): TaskExplanation[] {
  const explained: TaskExplanation[] = [];
  const { id: _id, state } = facts.instance;
  for (const { kind, tries, error } of facts.parked) {
    explained.push({ task: null, state, code: 'command-parked', message: `the step "${kind}" was given up after ${times(tries)}: ${error}` });
  }
  for (const task of facts.tasks) explained.push({ task: task.task, state: task.state, ...explainTask(facts, task) });
  return explained;
}

interface Words {
  readonly code: string;
  readonly message: string;
}

function explainTask(facts: WaitFacts, task: TaskFacts): Words {
  switch (task.state) {
    case 'waiting':
      return held(facts) ?? waiting(facts, task.unmet);
    case 'delayed':
      return held(facts) ?? delayed(facts, task);
    case 'ready':
      return held(facts) ?? inLine(facts, task);
    case 'dispatched':
    case 'running':
      return withWorker(facts, task);
    default:
      return task.reason ?? { code: task.state, message: `ended ${task.state}, without a reason` };
  }
}

/** What holds the whole instance back also holds back each task that no worker has yet. */
function held({ instance, tasks }: WaitFacts): Words | undefined {
  switch (instance.state) {
    case 'queued':
      return { code: 'serial-policy', message: `an earlier instance of the workflow has not ended, and its policy is ${instance.policy}` };
    case 'paused':
    case 'pausing':
      return { code: 'paused', message: `the instance is ${instance.state}: resume it` };
    case 'stopping': {
      const active = tasks.filter(({ state }) => state === 'dispatched' || state === 'running').length;
      return { code: 'stopping', message: `the instance is stopping, ${active} running ${active === 1 ? 'task' : 'tasks'} to go; this task will not start` };
    }
    default:
      return undefined;
  }
}

function waiting(facts: WaitFacts, unmet: readonly UnmetNeed[]): Words {
  const open = unmet.filter(({ state }) => !ENDED.has(state));
  if (open.length > 0) {
    const names = open.slice(0, NAMED).map(({ task, state }) => `${task} (${state})`).join(', ');
    const more = open.length > NAMED ? ` and ${open.length - NAMED} more` : '';
    return { code: 'waiting-for-upstream', message: `waits for ${names}${more}` };
  }
  const command = facts.commands[0];
  if (command === undefined) {
    return { code: 'no-driver', message: 'nothing is under way that could start it: this is a bug; keelson doctor says more' };
  }
  const step = `its next step ("${command.kind}") has waited ${ago(facts, command.createdAt)} for a master`;
  if (command.tries === 0) return { code: 'command-waiting', message: step };
  const next = command.notBefore === null ? '' : `, tried again ${inTime(facts, command.notBefore)}`;
  return { code: 'command-retrying', message: `${step}; it failed ${times(command.tries)}${next}: ${command.lastError ?? 'the master died over it'}` };
}

const ENDED: ReadonlySet<TaskState> = new Set(['succeeded', 'failed', 'skipped', 'stopped', 'lost'] as const);
const NAMED = 5;

function delayed(facts: WaitFacts, task: Extract<TaskFacts, { state: 'delayed' }>): Words {
  const due = `${task.dueAt} (${inTime(facts, task.dueAt)})`;
  if (task.cause === 'retry') return { code: 'retry-delay', message: `attempt ${task.attempt - 1} failed; the next one may start at ${due}` };
  return { code: 'delayed', message: `its delay ends at ${due}` };
}

function inLine(facts: WaitFacts, { group, capability, position, since }: Extract<TaskFacts, { state: 'ready' }>): Words {
  const workers = facts.groups[group] ?? [];
  if (workers.length === 0) return { code: 'no-worker-in-group', message: `no live worker in group ${group}` };
  const able = workers.filter(({ capabilities }) => capabilities.includes(capability));
  if (able.length === 0) {
    const names = workers.slice(0, NAMED).map(({ name }) => name).join(', ');
    return { code: 'no-worker-with-capability', message: `no live worker in group ${group} can run ${capability} (it has ${names})` };
  }
  const slots = able.reduce((sum, worker) => sum + worker.slots, 0);
  const inUse = able.reduce((sum, worker) => sum + Math.min(worker.inUse, worker.slots), 0);
  if (inUse >= slots) {
    return { code: 'group-full', message: `group ${group} is full: ${inUse} of ${slots} slots for ${capability} in use; position ${position} in line` };
  }
  return { code: 'about-to-start', message: `ready for ${ago(facts, since)}, position ${position} in line; ${slots - inUse} of ${slots} slots free in group ${group}` };
}

function withWorker(facts: WaitFacts, task: Extract<TaskFacts, { state: 'dispatched' | 'running' }>): Words {
  const { worker, killReason, progress } = task;
  if (worker.state === 'dead' || Date.parse(worker.leaseUntil) <= Date.parse(facts.now)) {
    return { code: 'worker-lost', message: `worker ${worker.name} has not renewed its lease, which ended ${ago(facts, worker.leaseUntil)} ago` };
  }
  if (killReason !== null) {
    const why = killReason === 'timeout' ? 'it ran longer than its timeout' : 'it is to stop';
    return { code: 'stopping', message: `${why}; worker ${worker.name} has not confirmed its end yet` };
  }
  if (task.state === 'dispatched') {
    return { code: 'dispatched', message: `handed to worker ${worker.name} ${ago(facts, task.since)} ago, which has not confirmed the start` };
  }
  const fraction = typeof progress?.fraction === 'number' ? `, ${Math.floor(progress.fraction * 100)} % done` : '';
  const said = typeof progress?.message === 'string' ? ` (${progress.message})` : '';
  return { code: 'running', message: `runs on worker ${worker.name} for ${ago(facts, task.since)}${fraction}${said}` };
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}

function ago({ now }: WaitFacts, then: string): string {
  return span(Date.parse(now) - Date.parse(then));
}

function inTime({ now }: WaitFacts, then: string): string {
  const left = Date.parse(then) - Date.parse(now);
  return left <= 0 ? 'now' : `in ${span(left)}`;
}

/** Two units at most, as in `3 h 5 min`. */
function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
