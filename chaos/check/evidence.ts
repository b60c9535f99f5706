import type { Entry } from '../ledger/entry.ts';
import type { Wish } from '../load/load.ts';
import type { Shape } from '../load/workflows.ts';

/** What the system says of a task in the end. */
export interface TaskRecord {
  readonly task: string;
  readonly state: string;
  /** The last one. */
  readonly attempt: number;
}

/** An event of the history, as far as the checker looks. */
export interface EventRecord {
  /** When it was written, by the database's clock. */
  readonly at?: string;
  readonly type: string;
  readonly task?: string;
  readonly attempt?: number;
  readonly end?: string;
  readonly state?: string;
  readonly reason?: { readonly code: string; readonly message: string } | undefined;
  /** Of `broadcast-started`: who was drafted. */
  readonly workers?: readonly { readonly incarnation: string; readonly worker: string }[];
  /** Of `subtask-ended`: whose it was. */
  readonly incarnation?: string;
}

export interface InstanceRecord {
  readonly id: string;
  readonly workflow: string;
  readonly mark: string;
  readonly state: string;
  readonly createdAt: number;
  readonly endedAt: number | undefined;
  readonly tasks: readonly TaskRecord[];
  readonly events: readonly EventRecord[];
  /** What `why` said of one that had not ended. */
  readonly why?: string;
}

/** When a worker's incarnation could be given work: from its registration until its lease ended, in milliseconds since 1970 of the database's clock. */
export interface Lifetime {
  readonly from: number;
  readonly until: number;
}

/** Everything that three witnesses say: the ledger, the system, the client. */
export interface Evidence {
  readonly entries: readonly Entry[];
  readonly instances: readonly InstanceRecord[];
  readonly wishes: readonly Wish[];
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Of every incarnation that runs broadcasts. */
  readonly lifetimes: readonly Lifetime[];
}

export interface Violation {
  /** A stable name of the rule that was broken. */
  readonly rule: string;
  readonly detail: string;
}

/** One attempt in the ledger; of a broadcast task, one worker's part of it. */
export interface Run {
  readonly instance: string;
  readonly task: string;
  readonly attempt: number;
  readonly worker: string;
  readonly token: string;
  readonly starts: readonly Entry[];
  /** The last thing that it wrote. */
  readonly last: Entry;
  /** Undefined when it was ended from outside. */
  readonly end: Entry | undefined;
}

/** Runs by instance and task (`instance/task`), in order of their first lines. */
export function runsByTask({ entries, instances, shapes }: Evidence): Map<string, Run[]> {
  const workflowOf = new Map(instances.map(({ id, workflow }) => [id, workflow]));
  const isBroadcast = ({ instance, task }: Entry): boolean =>
    shapes.get(workflowOf.get(instance) ?? '')?.tasks[task]?.broadcast === true;
  const groups = Map.groupBy(entries, (entry) =>
    [entry.instance, entry.task, entry.attempt, isBroadcast(entry) ? entry.worker : ''].join('/'),
  );
  const runs = [...groups.values()].flatMap((lines): Run[] => {
    const [first, last] = [lines[0], lines.at(-1)];
    if (first === undefined || last === undefined) return [];
    const { instance, task, attempt, worker, token } = first;
    const starts = lines.filter(({ kind }) => kind === 'S');
    return [{ instance, task, attempt, worker, token, starts, last, end: lines.find(({ kind }) => kind === 'E') }];
  });
  return Map.groupBy(runs, ({ instance, task }) => `${instance}/${task}`);
}

export const nameOf = ({ instance, task, attempt, worker }: Run): string =>
  `${instance}/${task}#${attempt} on ${worker}`;
