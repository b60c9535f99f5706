import { setImmediate } from 'node:timers/promises';
import {
  backfillTimes,
  compileCalendar,
  compileTrigger,
  dependencyCycle,
  dependentsOf,
  MAX_BACKFILL_RUNS,
  plannedRuns,
} from '@keelson/core';
import type { BackfillTimes, JsonObject, LeftOutDate, TriggerDefinition } from '@keelson/core';
import { ApiError } from '@keelson/protocol';
import type { BackfillRequest } from '@keelson/protocol';
import type { BackfillMember, DraftRun, InstanceThere, StartBasis, Store } from '@keelson/store';
import { chosenTriggers } from './backfill-triggers.ts';
import type { ChosenTriggers } from './backfill-triggers.ts';
import { resolvedParams } from '../instances/resolved-params.ts';
import { unknownVersion } from '../definitions/workflows.ts';

export interface BackfillPlan {
  readonly basis: StartBasis;
  readonly members: readonly BackfillMember[];
  /** Of the workflow itself: those of its trigger, and over them the given ones. */
  readonly params: JsonObject;
  readonly chosen: ChosenTriggers;
  readonly times: number;
  readonly runs: readonly DraftRun[];
  readonly leftOutDates: readonly LeftOutDate[];
  /** What may be a surprise. */
  readonly notes: readonly string[];
}

type Named = { readonly project: string; readonly workflow: string };
type Needed = Pick<Store, 'definitions' | 'backfillViews' | 'calendars'>;

/** What a backfill is to do, from what is known now. Throws an `ApiError` for one that cannot be. */
export async function planBackfill(
  store: Needed,
  { project, workflow }: Named,
  body: BackfillRequest,
  nowMs: number,
): Promise<BackfillPlan> {
  const dates = datesAsked(body);
  const basis = await store.definitions.startBasis({ project, name: workflow }, body.version);
  // `unknownVersion` needs no more of the store than this.
  if (basis === undefined) throw await unknownVersion(store as Store, { project, workflow }, body.version);
  const chosen = chosenTriggers(basis.definition, body.trigger);
  const bases = body.dependents === true ? await withDependents(store, basis) : [basis];
  const members = membersOf(bases, chosen);
  const most = Math.floor(MAX_BACKFILL_RUNS / members.length);
  const found = await unhurried(
    backfillTimes({
      dates,
      triggers: chosen.triggers.map((trigger) => compileTrigger(trigger)),
      zone: chosen.zone,
      context: await calendarsOf(store, project, chosen.triggers),
      nowMs,
      most,
    }),
  );
  if (!found.ok) throw refusal(found, members.length);
  const params = { ...chosen.params, ...body.params };
  const ascending = found.times.map((ms) => new Date(ms).toISOString());
  checkParams(bases, members, params, ascending);
  const there = await store.backfillViews.there(
    members.map(({ workflowId }) => workflowId),
    ascending[0] ?? '',
    ascending.at(-1) ?? '',
  );
  const times = body.order === 'descending' ? ascending.toReversed() : ascending;
  return {
    basis,
    members,
    params,
    chosen,
    times: times.length,
    runs: runsOf(members, times, there, body.again === true),
    leftOutDates: found.leftOut,
    notes: notesOf(body, bases, found),
  };
}

function datesAsked({ from, to, dates }: BackfillRequest): { from: string; to: string } | readonly string[] {
  if (dates !== undefined) {
    if (from === undefined && to === undefined) return dates;
    throw new ApiError('contradictory-request', 'give a range or a list of dates, not both');
  }
  if (from === undefined || to === undefined)
    throw new ApiError('invalid-request', 'a backfill needs `from` and `to`, or `dates`');
  return { from, to };
}

async function withDependents(store: Needed, root: StartBasis): Promise<StartBasis[]> {
  const graph = await store.backfillViews.dependencies();
  const cycle = dependencyCycle(graph);
  if (cycle !== undefined)
    throw new ApiError('dependency-cycle', `these workflows depend on each other: ${[...cycle, cycle[0]].join(' → ')}`);
  const name = ({ definition }: StartBasis): string => `${definition.project}/${definition.name}`;
  const [, ...others] = dependentsOf(name(root), graph);
  const bases = [root];
  for (const other of others) {
    const [project = '', workflow = ''] = other.split('/');
    const basis = await store.definitions.startBasis({ project, name: workflow });
    if (basis !== undefined) bases.push(basis);
  }
  return bases;
}

function membersOf(bases: readonly StartBasis[], { zone }: ChosenTriggers): BackfillMember[] {
  const places = new Map(bases.map(({ definition: { project, name } }, place) => [`${project}/${name}`, place]));
  return bases.map(({ workflowId, versionId, version, taskCount, definition, projectParams }, place) => ({
    workflowId,
    versionId,
    version,
    taskCount,
    project: definition.project,
    workflow: definition.name,
    projectParams,
    ...(place === 0 && zone !== definition.timezone && { zone }),
    // Only of those that are run here: what the workflow itself depends on is taken to be there.
    needs: place === 0 ? [] : (definition.dependsOn ?? []).flatMap((name) => places.get(name) ?? []),
  }));
}

async function calendarsOf({ calendars }: Needed, project: string, triggers: readonly TriggerDefinition[]) {
  const names = [...new Set(triggers.flatMap((trigger) => trigger.calendars ?? []))];
  const found = names.length === 0 ? [] : await calendars.definitions(project, names);
  return { calendars: new Map(found.map((definition) => [definition.name, compileCalendar(definition)])) };
}

/** Runs a search without keeping other requests waiting for it. */
async function unhurried<T>(steps: Generator<void, T, void>): Promise<T> {
  for (let since = performance.now(); ;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (performance.now() - since < 10) continue;
    await setImmediate();
    since = performance.now();
  }
}

function refusal({ code, message }: Extract<BackfillTimes, { ok: false }>, members: number): ApiError {
  if (code !== 'backfill-too-large') return new ApiError(code, message);
  const each = members === 1 ? '' : `, and at each time ${members} workflows would run`;
  return new ApiError(code, `there are ${message}${each}; a backfill has at most 100,000 runs`);
}

/** What is missing at the first or the last time would be missing at all of them. */
function checkParams(
  bases: readonly StartBasis[],
  members: readonly BackfillMember[],
  params: JsonObject,
  times: readonly string[],
): void {
  for (const [place, { definition, projectParams }] of bases.entries())
    for (const runTime of new Set([times[0] ?? '', times.at(-1) ?? ''])) {
      const zone = members[place]?.zone ?? definition.timezone;
      const zoned = { ...definition, timezone: zone };
      try {
        resolvedParams({ definition: zoned, projectParams, start: place === 0 ? params : {}, runTime });
      } catch (error) {
        if (place === 0 || !(error instanceof ApiError)) throw error;
        const message = `${definition.project}/${definition.name}, which depends on it, runs with its defaults: ${error.message}`;
        throw new ApiError('invalid-params', message);
      }
    }
}

function runsOf(
  members: readonly BackfillMember[],
  times: readonly string[],
  found: readonly InstanceThere[],
  again: boolean,
): DraftRun[] {
  const there = new Map(found.map((one) => [`${one.workflowId} ${one.runTime}`, one]));
  const runs = times.flatMap((runTime) => members.map(({ workflowId }) => ({ workflowId, runTime })));
  const planned = plannedRuns(
    members.map(({ project, workflow, needs }) => ({ name: `${project}/${workflow}`, needs })),
    runs.map(({ workflowId, runTime }) => there.get(`${workflowId} ${runTime}`)),
    again,
  );
  return runs.map((run, index) => {
    const { state, reason } = planned[index] ?? { state: 'pending' };
    if (state !== 'waiting' && state !== 'skipped') return { ...run, state: 'pending' };
    return { ...run, state, ...(reason && { reason }) };
  });
}

function notesOf(
  { parallel = 1 }: BackfillRequest,
  bases: readonly StartBasis[],
  { notYetDue, leftOutDates, leftOut }: Extract<BackfillTimes, { ok: true }>,
): string[] {
  const notes: string[] = [];
  if (notYetDue > 0) notes.push(`times of today that are still to come are left to the schedule: ${notYetDue}`);
  if (leftOutDates > leftOut.length)
    notes.push(`${leftOutDates} dates have no time; the first ${leftOut.length} are shown`);
  for (const { definition } of bases) {
    const { policy } = definition.concurrency;
    if (policy === 'serial-discard')
      notes.push(`${definition.name} is serial-discard: a run that meets another instance is stopped at once`);
    else if (policy !== 'parallel' && parallel > 1)
      notes.push(`${definition.name} is ${policy}: of the ${parallel} under way, those beyond its limit wait in line`);
  }
  return notes;
}
