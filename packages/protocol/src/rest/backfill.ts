import { z } from 'zod';
import { pageQuery } from './page.ts';
import { id, jsonObject, name, reason, time, version } from './scalar.ts';
import { priorityValue } from './instance-operation.ts';

export const BACKFILL_STATES = ['running', 'paused', 'cancelled', 'done'] as const;
export const BACKFILL_RUN_STATES = [
  'waiting',
  'pending',
  'running',
  'succeeded',
  'failed',
  'stopped',
  'skipped',
] as const;
export const MAX_BACKFILL_PARALLEL = 100;
/** Single dates and times of one call. */
export const MAX_BACKFILL_DATES = 10_000;

export const backfillState = z.enum(BACKFILL_STATES);
export const backfillRunState = z.enum(BACKFILL_RUN_STATES);

const date = z.string().max(40);

/** `POST …/backfills` and `POST …/backfills/preview`. Either `from` and `to`, or `dates`. */
export const backfillRequest = z.strictObject({
  /** Local date, included. */
  from: date.optional(),
  /** Local date, included. */
  to: date.optional(),
  /** Local dates, and times such as `2026-01-31T06:00`. */
  dates: z.array(date).min(1).max(MAX_BACKFILL_DATES).optional(),
  /** Id of the trigger whose times are meant; default: those that have times of their own, else 00:00 of each date. */
  trigger: z.string().max(64).optional(),
  /** Instances under way at once. */
  parallel: z.int().min(1).max(MAX_BACKFILL_PARALLEL).optional(),
  order: z.enum(['ascending', 'descending']).optional(),
  /** Also the workflows that depend on this one, each after its upstreams of the same time. */
  dependents: z.boolean().optional(),
  params: jsonObject.optional(),
  /** Of every task, added to its own; default -10, so that live schedules go first. */
  priority: priorityValue.optional(),
  /** Of the workflow; default: the latest. */
  version: version.optional(),
  /** Also times that have succeeded already. */
  again: z.boolean().optional(),
  /** Of the backfill, after a run that did not succeed; default `continue`. */
  onFailure: z.enum(['stop', 'continue']).optional(),
});
export type BackfillRequest = z.infer<typeof backfillRequest>;

const member = z.object({ project: name, workflow: name, version: z.int(), dependsOn: z.array(z.string()) });
const leftOutDate = z.object({ date: z.string(), code: z.string(), message: z.string() });

const counts = z.object({
  total: z.int(),
  waiting: z.int(),
  pending: z.int(),
  running: z.int(),
  succeeded: z.int(),
  failed: z.int(),
  stopped: z.int(),
  skipped: z.int(),
});

const previewRun = z.object({
  project: name,
  workflow: name,
  runTime: time,
  /** Why it is left out; null: it would run. */
  leftOut: reason.nullable(),
});

/** What a backfill would do. */
export const backfillPreview = z
  .object({
    project: name,
    workflow: name,
    version: z.int(),
    /** Of the dates. */
    timezone: z.string(),
    /** Whose times they are; empty: the beginning of each date. */
    triggers: z.array(z.string()),
    members: z.array(member),
    parallel: z.int(),
    order: z.enum(['ascending', 'descending']),
    priority: z.int(),
    onFailure: z.enum(['stop', 'continue']),
    times: z.int(),
    /** Runs that would be started. */
    runs: z.int(),
    /** Runs that are left out, by the code of the reason. */
    leftOut: z.record(z.string(), z.int()),
    /** The first of all runs, in their order. */
    first: z.array(previewRun),
    /** The last of them, when there are more. */
    last: z.array(previewRun),
    /** Dates without a time, and why; at most a hundred. */
    leftOutDates: z.array(leftOutDate),
    /** What may be a surprise. */
    notes: z.array(z.string()),
  })
  .meta({ id: 'BackfillPreview' });
export type BackfillPreview = z.infer<typeof backfillPreview>;

export const backfill = z
  .object({
    id,
    project: name,
    workflow: name,
    version: z.int(),
    state: backfillState,
    /** When it has ended: whether everything that it was to run has succeeded, or had before. */
    succeeded: z.boolean().nullable(),
    counts,
    parallel: z.int(),
    priority: z.int(),
    onFailure: z.enum(['stop', 'continue']),
    again: z.boolean(),
    params: jsonObject,
    /** As it was asked for. */
    request: jsonObject,
    /** Why it cannot go on at the moment; null when it can. */
    lastError: z.string().nullable(),
    createdBy: z.string(),
    createdAt: time,
    endedAt: time.nullable(),
  })
  .meta({ id: 'Backfill' });
export type Backfill = z.infer<typeof backfill>;

export const backfillDetail = backfill
  .extend({
    members: z.array(member),
    /** Runs that were left out, by the code of the reason. */
    leftOut: z.record(z.string(), z.int()),
    /** What was done with it, by whom. */
    events: z.array(z.object({ at: time, kind: z.string(), by: z.string(), detail: jsonObject.nullable() })),
  })
  .meta({ id: 'BackfillDetail' });
export type BackfillDetail = z.infer<typeof backfillDetail>;

export const backfillRun = z
  .object({
    seq: z.int(),
    project: name,
    workflow: name,
    runTime: time,
    state: backfillRunState,
    instanceId: id.nullable(),
    startedAt: time.nullable(),
    endedAt: time.nullable(),
    reason: reason.nullable(),
  })
  .meta({ id: 'BackfillRun' });
export type BackfillRun = z.infer<typeof backfillRun>;

export const backfillListQuery = pageQuery.extend({
  project: name.optional(),
  workflow: name.optional(),
  state: backfillState.optional(),
});
export const backfillRunListQuery = pageQuery.extend({ state: backfillRunState.optional() });

/** `POST backfills/{id}/cancel`; the body is optional. */
export const cancelBackfillRequest = z.strictObject({
  /** Also stops the instances that are under way. */
  stop: z.boolean().optional(),
});

export const backfillOperationResponse = z
  .object({
    id,
    operation: z.enum(['pause', 'resume', 'cancel']),
    outcome: z.enum(['applied', 'already']),
    state: backfillState,
    /** Instances that were asked to stop. */
    stopping: z.int(),
  })
  .meta({ id: 'BackfillOperation' });
export type BackfillOperationResponse = z.infer<typeof backfillOperationResponse>;
