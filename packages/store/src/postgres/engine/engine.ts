import type { Engine, ReportedEnd, TaskKey } from '../../engine.ts';
import { generationKey } from '../../ids.ts';
import { activeOfCall, activeOfFrom, claimCall, claimedFrom, startedCall } from './claim.ts';
import type { OpenSession, Rows } from '../connection/session.ts';
import { factsCache } from './step/facts.ts';
import { factsFrom, instanceFacts } from './step/read.ts';
import { runStep } from './step/step.ts';
import { sessionLanes } from '../connection/lanes.ts';
import { sweep } from '../invariants/doctor-sweep.ts';
import { countTry, forgiveTry, parkInstance, putOff } from './quarantine.ts';

const DUE_INSTANCES = {
  name: 'due-instances',
  text: `select instance_id, min(id) as oldest from command where not_before <= clock_timestamp() group by instance_id order by oldest limit $1`,
};

const RESULTS = {
  name: 'task-results',
  text: `select k.instance_id, k.generation, k.task, f.state, f.outputs, f.artifacts
           from unnest($1::bigint[], $2::int[], $3::text[]) as k(instance_id, generation, task)
          cross join lateral (select state, outputs, artifacts from finished_task
                               where instance_id = k.instance_id and task = k.task and generation = k.generation offset 0) f`,
};

const BROADCASTS = {
  name: 'broadcasts',
  text: `select k.instance_id, k.generation, k.task, b.phase, b.total, b.outputs, coalesce(s.bytes, 0) > $4::float8 as too_large, r.results
           from unnest($1::bigint[], $2::int[], $3::text[]) as k(instance_id, generation, task)
          cross join lateral (select phase, total, outputs from broadcast
                               where instance_id = k.instance_id and task = k.task and generation = k.generation offset 0) b
           left join lateral (
             select sum(octet_length(f.outputs::text)) as bytes from finished_subtask f
              where b.phase = 'after' and f.instance_id = k.instance_id and f.task = k.task and f.generation = k.generation) s on true
           left join lateral (
             select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('worker', f.worker, 'incarnation', f.incarnation_id::text, 'state', f.state, 'reason', f.reason))
                              || jsonb_build_object('outputs', coalesce(f.outputs, '{}')) order by f.incarnation_id) as results
               from finished_subtask f
              where b.phase = 'after' and coalesce(s.bytes, 0) <= $4::float8
                and f.instance_id = k.instance_id and f.task = k.task and f.generation = k.generation) r on true`,
};

/** Locks: the live row FOR KEY SHARE, so that the instance cannot end between the look and the command. */
const DEFER = {
  name: 'defer-report',
  text: `insert into command (instance_id, kind, payload, last_error)
         select l.id, 'attempt-ended', u.payload::jsonb, $3 from unnest($1::bigint[], $2::text[]) as u(instance_id, payload)
           join (select id from live_instance where id = any($1::bigint[]) for key share) l on l.id = u.instance_id`,
};

/**
 * The engine. Steps, claims and notes each have connections of their own: a claim never queues behind a step.
 *
 * @param lanes decision transactions that may be under way at once
 */
export function createEngine(open: OpenSession, lanes = 2): Engine & { close(): Promise<void> } {
  const steps = sessionLanes(open, lanes);
  const notes = open();
  // A look over all that is alive must hold nobody up.
  const sweeper = open();
  const facts = factsCache();
  const first = (rows: Rows[]): Rows => rows[0] ?? [];
  return {
    step: (input, mind) => steps.use((session) => runStep(session, facts, input, mind)),
    claim: async (request) => claimedFrom(first(await notes.run([claimCall(request)]))),
    started: async (reports) => void (await notes.run([startedCall(reports)])),
    activeOf: async (incarnations, onlyKilled = false) =>
      activeOfFrom(first(await notes.run([activeOfCall(incarnations, onlyKilled)]))),
    facts: async (keys) => {
      const strangers = keys.filter((key) => !facts.has(key));
      if (strangers.length > 0)
        for (const row of first(await notes.run([instanceFacts(strangers)]))) facts.set(factsFrom(row));
      return new Map(
        keys.flatMap((key) => facts.get(key) ?? []).map((known) => [generationKey(known.id, known.generation), known]),
      );
    },
    results: async (keys) => {
      const values = keyColumns(keys);
      return first(await notes.run([{ statement: RESULTS, values }])).map((row) => ({
        instanceId: row.instance_id,
        generation: row.generation,
        task: row.task,
        state: row.state,
        outputs: row.outputs ?? {},
        artifacts: row.artifacts ?? [],
      }));
    },
    broadcasts: async (keys, mostResultBytes = Infinity) => {
      const values = [...keyColumns(keys), mostResultBytes];
      return first(await notes.run([{ statement: BROADCASTS, values }])).map((row) => ({
        instanceId: row.instance_id,
        generation: row.generation,
        task: row.task,
        phase: row.phase,
        total: row.total,
        outputs: row.outputs ?? {},
        results: row.too_large ? null : (row.results ?? []),
      }));
    },
    dueInstances: async (limit) =>
      first(await notes.run([{ statement: DUE_INSTANCES, values: [limit] }])).map((row) => row.instance_id),
    countTry: (instanceIds) => countTry(notes, instanceIds),
    forgiveTry: (instanceId) => forgiveTry(notes, instanceId),
    putOff: (commandIds, delayMs, error) => putOff(notes, commandIds, delayMs, error),
    park: (instanceId, reason) => steps.use((session) => parkInstance(session, instanceId, reason)),
    sweep: (pace) => sweep(sweeper, pace),
    deferReports: async (reports, error) => {
      const values = [
        reports.map(({ instanceId }) => instanceId),
        reports.map((report) => JSON.stringify(deferred(report))),
        error,
      ];
      await notes.run([{ statement: DEFER, values }]);
    },
    close: async () => {
      await Promise.all([steps.close(), notes.close(), sweeper.close()]);
    },
  };
}

function keyColumns(keys: readonly TaskKey[]): unknown[][] {
  return [
    keys.map(({ instanceId }) => instanceId),
    keys.map(({ generation }) => generation),
    keys.map(({ task }) => task),
  ];
}

function deferred({
  attemptId,
  nonce,
  end,
  reason,
  outputs,
  artifacts,
  startedAgoMs,
  endedAgoMs,
}: ReportedEnd): object {
  return { attemptId, nonce, end, reason, outputs, artifacts, startedAgoMs, endedAgoMs };
}
