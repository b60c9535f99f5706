import type { JsonObject } from '../json.ts';
import { TASK_END_STATES } from './states.ts';
import type { InstanceState, TaskState } from './states.ts';
import type { BroadcastFacts, HeldFacts, TaskFacts, UnmetNeed, WaitFacts } from './why-facts.ts';

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
  | 'broadcast-running'
  | 'stopping'
  | 'worker-lost'
  | 'command-waiting'
  | 'command-retrying'
  | 'command-parked'
  | 'waiting-for-slot'
  | 'pausing'
  | 'paused'
  /** Nothing is under way that could move it: a bug, which `keelson doctor` names. */
  | 'no-driver';

export interface TaskExplanation {
  /** Null: it holds for the instance as a whole. */
  readonly task: string | null;
  readonly state: TaskState | InstanceState;
  /** Since when the task has been in its state, where that is recorded. */
  readonly since: string | null;
  /** A `WaitCode`; for a task that has ended without success, the code of its reason. */
  readonly code: string;
  readonly message: string;
  /** The figures behind the words. */
  readonly details: JsonObject;
}

/** What holds for the instance as a whole, then one explanation for each task of the facts. */
export function explain(facts: WaitFacts): TaskExplanation[] {
  const { state } = facts.instance;
  const parked = facts.parked.map(({ kind, tries, error, at }) => ({
    task: null,
    state,
    since: at,
    code: 'command-parked',
    message: `the step "${kind}" was given up after it failed ${times(tries)}: ${error}`,
    details: { kind, tries },
  }));
  const whole = held(facts);
  return [
    ...parked,
    ...(whole === undefined ? [] : [{ task: null, state, since: null, details: {}, ...whole }]),
    ...facts.tasks.map((task) => ({
      task: task.task,
      state: task.state,
      since: sinceOf(task),
      details: {},
      ...explainTask(facts, task),
    })),
  ];
}

interface Words {
  readonly code: string;
  readonly message: string;
  readonly details?: JsonObject;
}

type WaitWords = Words & { readonly code: WaitCode };
type Of<State extends TaskState> = Exclude<Extract<TaskFacts, { readonly state: State }>, BroadcastFacts | HeldFacts>;

function explainTask(facts: WaitFacts, task: TaskFacts): Words {
  if ('held' in task) return heldBack(facts, task);
  switch (task.state) {
    case 'waiting':
      return heldTask(facts) ?? waiting(facts, task.unmet);
    case 'delayed':
      return heldTask(facts) ?? delayed(facts, task);
    case 'ready':
      return heldTask(facts) ?? inLine(facts, task);
    case 'dispatched':
    case 'running':
      return 'broadcast' in task ? broadcasting(facts, task) : withWorker(facts, task);
    default: {
      const { reason, carriedFrom } = task;
      const carried = carriedFrom === undefined ? '' : ` (carried from generation ${carriedFrom})`;
      return {
        code: reason?.code ?? task.state,
        message: `${reason?.message ?? `ended ${task.state}, without a reason`}${carried}`,
        ...(carriedFrom === undefined ? {} : { details: { carriedFrom } }),
      };
    }
  }
}

function sinceOf(task: TaskFacts): string | null {
  if ('since' in task) return task.since;
  return 'endedAt' in task ? task.endedAt : null;
}

/** What holds the whole instance back. */
function held(facts: WaitFacts): WaitWords | undefined {
  const active = activeTasks(facts);
  switch (facts.instance.state) {
    case 'queued':
      return queued(facts.instance);
    case 'pausing':
      return {
        code: 'pausing',
        message: `the instance is pausing: it is paused when the ${active === 1 ? 'task that runs has' : `${active} tasks that run have`} ended`,
        details: { active },
      };
    case 'paused':
      return { code: 'paused', message: 'the instance is paused: resume it' };
    default:
      return undefined;
  }
}

/** That also holds back each task that no worker has. */
function heldTask(facts: WaitFacts): WaitWords | undefined {
  if (facts.instance.state === 'pausing')
    return { code: 'pausing', message: 'the instance is pausing: nothing starts until it is resumed' };
  if (facts.instance.state !== 'stopping') return held(facts);
  const active = activeTasks(facts);
  return {
    code: 'stopping',
    message: `the instance is stopping and will not start this task; ${active} of its tasks still run`,
    details: { active },
  };
}

function activeTasks({ tasks }: WaitFacts): number {
  return tasks.filter(({ state }) => state === 'dispatched' || state === 'running').length;
}

function queued({ policy: own, queue }: WaitFacts['instance']): WaitWords {
  if (queue === undefined)
    return { code: 'waiting-for-slot', message: `the instance waits for its turn: its workflow's policy is ${own}` };
  const { policy, slots, used, holders, ahead } = queue;
  const more = used > holders.length ? ` and ${used - holders.length} more` : '';
  const names = holders.length === 0 ? '' : ` (by instance ${holders.join(', ')}${more})`;
  const taken = slots === null ? 'no limit holds any more' : `${used} of ${slots} slots are taken${names}`;
  const before =
    ahead === 0 ? 'it is the next' : ahead === 1 ? '1 instance is before it' : `${ahead} instances are before it`;
  return {
    code: 'waiting-for-slot',
    message: `the instance waits for its turn: ${taken}, ${before}; its workflow's policy is ${policy}`,
    details: { policy, slots, used, holders: [...holders], ahead },
  };
}

function heldBack(facts: WaitFacts, { cause, attempt, delayLeftMs }: HeldFacts): Words {
  const code = facts.instance.state === 'pausing' ? 'pausing' : 'paused';
  const kind =
    cause === null ? 'ready to start' : cause === 'delay' ? 'its delay' : `the delay before attempt ${attempt}`;
  const left = cause === null ? '' : ` has ${span(delayLeftMs)} left`;
  return {
    code,
    message: `${kind}${left}, and held back: the instance is ${code}`,
    details: { attempt, cause, delayLeftMs },
  };
}

function waiting(facts: WaitFacts, unmet: readonly UnmetNeed[]): WaitWords {
  const open = unmet.filter(({ state }) => !ENDED.has(state));
  if (open.length > 0) {
    const names = open
      .slice(0, NAMED)
      .map(({ task, state }) => `${task} (${state})`)
      .join(', ');
    const more = open.length > NAMED ? ` and ${open.length - NAMED} more` : '';
    const upstream = open.map(({ task, state }) => ({ task, state }));
    return { code: 'waiting-for-upstream', message: `waits for ${names}${more}`, details: { upstream } };
  }
  const command = facts.commands[0];
  if (command === undefined) {
    return {
      code: 'no-driver',
      message: 'nothing is under way that could start it: this is a bug; keelson doctor says more',
    };
  }
  const { kind, tries, notBefore, lastError } = command;
  const step = `its next step ("${kind}") has waited ${ago(facts, command.createdAt)} for a master`;
  if (tries === 0) return { code: 'command-waiting', message: step, details: { kind } };
  const next = notBefore === null ? '' : ` and is tried again ${inTime(facts, notBefore)}`;
  const error = lastError ?? 'the master ended over it';
  return {
    code: 'command-retrying',
    message: `${step}; it failed ${times(tries)}${next}: ${error}`,
    details: { kind, tries, notBefore },
  };
}

const ENDED: ReadonlySet<TaskState> = new Set(TASK_END_STATES);
const NAMED = 5;

function delayed(facts: WaitFacts, { cause, attempt, dueAt }: Of<'delayed'>): WaitWords {
  const due = `${dueAt} (${inTime(facts, dueAt)})`;
  const details = { dueAt, attempt };
  if (cause === 'delay') return { code: 'delayed', message: `its delay ends at ${due}`, details };
  return {
    code: 'retry-delay',
    message: `attempt ${attempt - 1} has failed; attempt ${attempt} may start at ${due}`,
    details,
  };
}

function inLine(facts: WaitFacts, { group, capability, position, since }: Of<'ready'>): WaitWords {
  const workers = facts.groups[group] ?? [];
  if (workers.length === 0)
    return { code: 'no-worker-in-group', message: `no live worker in group ${group}`, details: { group } };
  const able = workers.filter(({ capabilities }) => capabilities.includes(capability));
  if (able.length === 0) {
    const names = workers
      .slice(0, NAMED)
      .map(({ name }) => name)
      .join(', ');
    const message = `no live worker in group ${group} can run ${capability} (there ${workers.length === 1 ? 'is' : 'are'} ${names})`;
    return { code: 'no-worker-with-capability', message, details: { group, capability, workers: workers.length } };
  }
  const slots = able.reduce((sum, worker) => sum + worker.slots, 0);
  const inUse = able.reduce((sum, worker) => sum + Math.min(worker.inUse, worker.slots), 0);
  const details = { group, capability, slots, inUse, position };
  if (inUse >= slots) {
    return {
      code: 'group-full',
      message: `group ${group} is full: ${inUse} of ${slots} slots for ${capability} in use; position ${position} in line`,
      details,
    };
  }
  const free = `${slots - inUse} of ${slots} slots free in group ${group}`;
  return {
    code: 'about-to-start',
    message: `ready for ${ago(facts, since)}, position ${position} in line; ${free}`,
    details,
  };
}

function broadcasting(facts: WaitFacts, { since, broadcast, holders }: BroadcastFacts): WaitWords {
  const { total, waiting, succeeded, failed, lost, parallel } = broadcast;
  const said = [`${succeeded} of ${total} subtasks have succeeded`];
  if (failed > 0) said.push(`${failed} failed`);
  if (lost > 0) said.push(`${lost} lost`);
  if (holders.length > 0) said.push(`${holders.length} at ${namesOf(holders)}`);
  if (waiting > 0) said.push(`${waiting} wait${waiting === 1 ? 's' : ''} for one of ${parallel} places`);
  const gone = holders.filter(({ leaseUntil }) => Date.parse(leaseUntil) <= Date.parse(facts.now));
  if (gone.length > 0) said.push(`${namesOf(gone)} do${gone.length === 1 ? 'es' : ''} not renew the lease`);
  const stopping = holders.filter(({ killReason }) => killReason !== null);
  if (stopping.length > 0) said.push(`${stopping.length} asked to end`);
  const message = `broadcast for ${ago(facts, since)}: ${said.join(', ')}`;
  return {
    code: 'broadcast-running',
    message,
    details: { ...broadcast, workers: holders.map(({ worker }) => worker) },
  };
}

function namesOf(holders: BroadcastFacts['holders']): string {
  const more = holders.length > NAMED ? ` and ${holders.length - NAMED} more` : '';
  return `${holders
    .slice(0, NAMED)
    .map(({ worker }) => worker)
    .join(', ')}${more}`;
}

function withWorker(
  facts: WaitFacts,
  { state, since, worker, killReason, progress }: Of<'dispatched' | 'running'>,
): WaitWords {
  const details = { worker: worker.name, leaseUntil: worker.leaseUntil };
  if (worker.state === 'dead' || Date.parse(worker.leaseUntil) <= Date.parse(facts.now)) {
    const message = `worker ${worker.name} does not renew its lease, which ended ${ago(facts, worker.leaseUntil)} ago`;
    return { code: 'worker-lost', message, details };
  }
  if (killReason !== null) {
    const why = killReason === 'timeout' ? 'it ran longer than its timeout' : 'it was asked to stop';
    return {
      code: 'stopping',
      message: `${why}; worker ${worker.name} has not confirmed its end yet`,
      details: { ...details, killReason },
    };
  }
  if (state === 'dispatched') {
    return {
      code: 'dispatched',
      message: `handed to worker ${worker.name} ${ago(facts, since)} ago, which has not confirmed the start`,
      details,
    };
  }
  const fraction = typeof progress?.fraction === 'number' ? `, ${Math.floor(progress.fraction * 100)} % done` : '';
  const said = typeof progress?.message === 'string' ? ` (${progress.message})` : '';
  return {
    code: 'running',
    message: `has run on worker ${worker.name} for ${ago(facts, since)}${fraction}${said}`,
    details,
  };
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
