import { z } from 'zod';
import { pageQuery } from './page.ts';
import { id, jsonObject, moment, name, reason, time } from './scalar.ts';

export const fireOutcome = z.enum(['fired', 'misfired', 'skipped', 'failed']);
export type RestFireOutcome = z.infer<typeof fireOutcome>;

/** What became of one time of a schedule. */
export const fire = z
  .object({
    /** The time that was due; the instance has it as its run time. */
    dueAt: time,
    /** `misfired`: missed, and its rule is not to make up for it. `skipped`: somebody changed, paused or removed the schedule. `failed`: it could not start. */
    outcome: fireOutcome,
    reason: reason.nullable(),
    instanceId: id.nullable(),
    decidedAt: time,
  })
  .meta({ id: 'Fire' });
export type Fire = z.infer<typeof fire>;

/** `awaiting`: a fixed delay whose instance lives. `ended`: no time follows. */
export const scheduleState = z.enum(['active', 'awaiting', 'paused', 'disabled', 'ended']);

export const schedule = z
  .object({
    id,
    project: name,
    workflow: name,
    trigger: z.string(),
    /** As the definition says, normalised. */
    definition: jsonObject,
    state: scheduleState,
    /** The next time; null when there is none, or when it depends on the end of an instance. */
    nextDue: time.nullable(),
    /** When that starts: with the jitter. */
    nextAt: time.nullable(),
    /** The instance whose end a fixed delay waits for. */
    awaiting: id.nullable(),
    pausedAt: time.nullable(),
    pausedBy: z.string().nullable(),
    /** Why the masters cannot go on with it; they try again every minute. */
    lastError: z.string().nullable(),
    createdAt: time,
    lastFire: fire.nullable(),
  })
  .meta({ id: 'Schedule' });
export type Schedule = z.infer<typeof schedule>;

const triggerId = z.string().min(1).max(128);

export const scheduleListQuery = pageQuery.extend({
  project: name.optional(),
  workflow: name.optional(),
  trigger: triggerId.optional(),
  state: scheduleState.optional(),
});

/** What somebody did with a schedule: why there are times without a fire. */
export const scheduleEvent = z
  .object({
    at: time,
    kind: z.enum(['created', 'changed', 'removed', 'paused', 'resumed', 'calendar-changed', 'failing']),
    by: z.string(),
    detail: jsonObject.nullable(),
  })
  .meta({ id: 'ScheduleEvent' });
export type RestScheduleEvent = z.infer<typeof scheduleEvent>;

/** `from` is inclusive, `to` is not. */
export const fireListQuery = pageQuery.extend({
  outcome: fireOutcome.optional(),
  from: moment.optional(),
  to: moment.optional(),
});

/** A page of fires, latest first; on the first page also what people did with the schedule. */
export const firesResponse = z
  .object({ items: z.array(fire), next: z.string().nullable(), events: z.array(scheduleEvent) })
  .meta({ id: 'Fires' });
export type FiresResponse = z.infer<typeof firesResponse>;

/** `POST projects/{p}/workflows/{w}/schedules/{pause|resume}`: one trigger, or all of the workflow's. */
export const scheduleChangeRequest = z.strictObject({ trigger: triggerId.optional() });
export type ScheduleChangeRequest = z.infer<typeof scheduleChangeRequest>;

export const scheduleChange = z
  .object({
    id,
    trigger: z.string(),
    /** False: it was so already. */
    changed: z.boolean(),
    nextDue: time.nullable(),
  })
  .meta({ id: 'ScheduleChange' });
export type RestScheduleChange = z.infer<typeof scheduleChange>;
export const scheduleChangeResponse = z.object({ items: z.array(scheduleChange) });

/** A named set of days without fires. */
export const calendar = z
  .object({
    project: name,
    name,
    title: z.string().nullable(),
    description: z.string().nullable(),
    /** Normalised: `exclude` and `include`. */
    definition: jsonObject,
    updatedAt: time,
    updatedBy: z.string(),
    /** How many schedules name it. */
    schedules: z.int(),
  })
  .meta({ id: 'Calendar' });
export type RestCalendar = z.infer<typeof calendar>;

export const putCalendarResponse = z
  .object({
    /** Schedules that have another next time now. */
    moved: z.int(),
  })
  .meta({ id: 'PutCalendarResponse' });
export type PutCalendarResponse = z.infer<typeof putCalendarResponse>;
