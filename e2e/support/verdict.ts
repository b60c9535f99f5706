import type { Entry } from '../../chaos/ledger/entry.ts';
import type { Cluster } from './cluster.ts';

/** One run of an attempt, as the ledger has it. */
interface Run {
  readonly key: string;
  readonly task: string;
  readonly instance: string;
  readonly attempt: number;
  readonly from: Entry;
  /** Its last sign of life. */
  readonly to: Entry;
  readonly code: number | undefined;
}

const runKey = ({ instance, task, token }: Entry): string => `${instance}/${task} token ${token}`;

/**
 * What the ledger alone says against the system: a token that started twice, attempts of one task that ran at the same time, a task that
 * started before the one that it needs had succeeded.
 *
 * @param needs task → the tasks that must have succeeded before; of all instances in the ledger
 */
export function ledgerViolations(
  entries: readonly Entry[],
  needs: Readonly<Record<string, readonly string[]>> = {},
): string[] {
  const found: string[] = [];
  const runs: Run[] = [];
  for (const [key, lines] of Map.groupBy(entries, runKey)) {
    const starts = lines.filter(({ kind }) => kind === 'S');
    const [from, to] = [lines[0], lines.at(-1)];
    if (from === undefined || to === undefined) continue;
    if (starts.length !== 1) found.push(`${key} started ${starts.length} times`);
    const { task, instance, attempt } = from;
    runs.push({ key, task, instance, attempt, from, to, code: to.code });
  }
  for (const [, ofTask] of Map.groupBy(runs, ({ instance, task }) => `${instance}/${task}`)) {
    const inOrder = ofTask.toSorted((a, b) => a.from.place - b.from.place);
    for (const [index, run] of inOrder.entries()) {
      const next = inOrder[index + 1];
      if (next !== undefined && next.from.place < run.to.place) found.push(`${next.key} started while ${run.key} ran`);
    }
  }
  for (const run of runs)
    for (const need of needs[run.task] ?? []) {
      const met = runs.some(
        (other) =>
          other.instance === run.instance && other.task === need && other.code === 0 && other.to.place < run.from.place,
      );
      if (!met) found.push(`${run.key} started before ${need} had succeeded`);
      const again = runs.find(
        ({ instance, task, from }) => instance === run.instance && task === need && from.place > run.from.place,
      );
      if (again !== undefined) found.push(`${again.key} started after ${run.key}, which needs its task, had started`);
    }
  return found;
}

/**
 * What the database says against the system once everything should have ended, and what it and the ledger say against each other.
 *
 * @param stopped workflows whose instances were stopped; all others must have succeeded
 */
export async function databaseViolations(cluster: Cluster, stopped: readonly string[] = []): Promise<string[]> {
  const found = [...(await cluster.findings())];
  const lines = async (sql: string, ...values: readonly unknown[]): Promise<void> => {
    for (const { line } of await cluster.rows(sql, values)) found.push(String(line));
  };
  await lines(`select format('instance %s is still %s', id, state) as line from live_instance`);
  await lines(
    `select format('instance %s of %s ended %s: %s', i.id, w.name, e.state, e.reason) as line
       from instance_end e join workflow_instance i on i.id = e.instance_id join workflow w on w.id = i.workflow_id
      where e.state <> case when w.name = any($1) then 'stopped' else 'succeeded' end`,
    stopped,
  );
  await lines(
    `select format('task %s/%s ended %s without a worker and a reason', instance_id, task, state) as line from finished_task
      where state <> 'succeeded' and (incarnation_id is null and reason is null)`,
  );
  await lines(`select format('command of %s was parked: %s', instance_id, error) as line from command_error`);
  const known = await cluster.rows(
    `select instance_id || '/' || task || ' token ' || attempt_id as key, state from finished_task where attempt_id is not null
     union all select instance_id || '/' || task || ' token ' || attempt_id, state from earlier_attempt
     union all select instance_id || '/' || task || ' token ' || attempt_id, state from finished_subtask`,
  );
  const states = new Map(known.map(({ key, state }) => [String(key), String(state)]));
  for (const entry of await cluster.ledger()) {
    const key = runKey(entry);
    const state = states.get(key);
    if (entry.kind === 'S' && state === undefined) found.push(`${key} ran, and the database knows nothing of it`);
    // A run that came to its end and could not say so in time is lost, like one that was killed.
    if (entry.kind === 'E' && entry.code === 0 && state !== 'succeeded' && state !== 'lost')
      found.push(`${key} succeeded, and the database says ${state ?? 'nothing'}`);
  }
  return found;
}
