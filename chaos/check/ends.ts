import { nameOf } from './evidence.ts';
import type { Evidence, InstanceRecord, Run, Violation } from './evidence.ts';

/**
 * Everything has ended, and as its shape says: every workflow of the load succeeds in the end. Only a broadcast fails rightly, if there was
 * no worker alive when it began: PostgreSQL was away for longer than a lease.
 */
export function ends({ instances, lifetimes }: Evidence): Violation[] {
  return instances.flatMap((instance) => {
    if (instance.endedAt === undefined) {
      const why = instance.why ?? 'nobody says why';
      return [{ rule: 'stuck', detail: `instance ${instance.id} (${instance.workflow}) is ${instance.state}: ${why}` }];
    }
    if (instance.state === 'succeeded' || foundNobody(instance, lifetimes)) return [];
    return [
      {
        rule: 'wrong-end',
        detail: `instance ${instance.id} (${instance.workflow}) ended ${instance.state}: ${reasonOf(instance)}`,
      },
    ];
  });
}

/** Between the look at the workers and the entry in the history. */
const DECIDED_WITHIN_MS = 1000;

function foundNobody({ events }: InstanceRecord, lifetimes: Evidence['lifetimes']): boolean {
  const failures = events.filter(({ type, state }) => type === 'task-ended' && state === 'failed');
  return (
    failures.length > 0 &&
    failures.every(({ at, reason }) => {
      const then = Date.parse(at ?? '');
      return (
        reason?.code === 'no-workers' &&
        !lifetimes.some(({ from, until }) => from + DECIDED_WITHIN_MS <= then && then < until)
      );
    })
  );
}

function reasonOf({ events }: InstanceRecord): string {
  const failure = events.find(({ type, state }) => type === 'task-ended' && state !== 'succeeded');
  return failure === undefined
    ? 'no task says why'
    : `${failure.task}: ${failure.reason?.code}: ${failure.reason?.message}`;
}

/** What the system calls succeeded has run to its end, and what has run was handed out by the system. */
export function witnesses({ instances, shapes }: Evidence, runs: ReadonlyMap<string, readonly Run[]>): Violation[] {
  return [...ghosts(instances, shapes, runs), ...phantoms(instances, runs)];
}

function ghosts(
  instances: readonly InstanceRecord[],
  shapes: Evidence['shapes'],
  runs: ReadonlyMap<string, readonly Run[]>,
): Violation[] {
  return instances.flatMap(({ id, workflow, tasks }) =>
    tasks.flatMap(({ task, state, attempt }) => {
      if (state !== 'succeeded' || shapes.get(workflow)?.tasks[task]?.broadcast === true) return [];
      const run = runs.get(`${id}/${task}`)?.find((each) => each.attempt === attempt);
      if (run?.end?.code === 0) return [];
      return [
        {
          rule: 'succeeded-without-running',
          detail: `${id}/${task}#${attempt} is succeeded, and the ledger has no end of it`,
        },
      ];
    }),
  );
}

function phantoms(instances: readonly InstanceRecord[], runs: ReadonlyMap<string, readonly Run[]>): Violation[] {
  const handedOut = new Set(
    instances.flatMap(({ id, events }) =>
      events
        .filter(({ type }) => type === 'task-dispatched' || type === 'broadcast-started')
        .map(({ type, task, attempt }) => `${id}/${task}#${type === 'broadcast-started' ? 'any' : attempt}`),
    ),
  );
  return [...runs.values()].flat().flatMap((run) => {
    const task = `${run.instance}/${run.task}`;
    if (handedOut.has(`${task}#${run.attempt}`) || handedOut.has(`${task}#any`)) return [];
    return [
      { rule: 'ran-unasked', detail: `${nameOf(run)} ran, and the history does not know that it was handed out` },
    ];
  });
}
