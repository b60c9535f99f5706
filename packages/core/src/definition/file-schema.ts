import { z } from 'zod';

import { TASK_END_STATES } from '../engine/states.ts';
import { DURATION_PATTERN } from '../time/duration.ts';
import { MAX_ALLOWED_LOSSES, MAX_CALENDARS_OF_TRIGGER, MAX_CONCURRENCY_LIMIT, MAX_SUBTASKS } from './limits.ts';

/** The definition as it is written in a file: short forms, defaults left out. The model is what comes out of it. */

export const NAME_PATTERN = /^[a-z0-9][a-z0-9-]{0,62}$/;
/** A workflow of the same project, or of another one. */
export const WORKFLOW_REF_PATTERN = /^([a-z0-9][a-z0-9-]{0,62}\/)?[a-z0-9][a-z0-9-]{0,62}$/;
export const TASK_ID_PATTERN = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
export const DATE_PATTERN = /^\d{4}-\d\d-\d\d$/;
/** `12-25`. */
export const YEARLY_PATTERN = /^\d\d-\d\d$/;
/** A time of day: `09:00` or `09:00:30`. */
export const CLOCK_PATTERN = /^([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/;
/** Without a flag, which JSON Schema has not. */
const WEEKDAY = ['MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT', 'SUN']
  .map((day) => day.replaceAll(/[A-Z]/g, (letter) => `[${letter}${letter.toLowerCase()}]`))
  .join('|');
/** `MON` or `MON-FRI`; capitals do not matter. */
export const WEEKDAYS_PATTERN = new RegExp(`^(?:${WEEKDAY})(?:-(?:${WEEKDAY}))?$`);
/** A time of a zone (`2026-12-01T08:00`), or one that names its offset itself. */
export const LOCAL_TIME_PATTERN = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?$/;
const DATE_OR_TIME_PATTERN = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?)?$/;
const GROUP_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** What a pattern means to a person, and the code of the issue. */
export const PATTERN_MEANINGS: ReadonlyMap<string, { readonly code: string; readonly wanted: string }> = new Map([
  [String(NAME_PATTERN), { code: 'bad-name', wanted: 'a name: lower-case letters, digits and "-", at most 63' }],
  [
    String(WORKFLOW_REF_PATTERN),
    { code: 'bad-name', wanted: 'a workflow: its name, or project/name for one of another project' },
  ],
  [
    String(DURATION_PATTERN),
    { code: 'bad-duration', wanted: 'a duration such as "10s", "15m", "1h30m", "500ms" or "2d"' },
  ],
  [String(DATE_PATTERN), { code: 'bad-date', wanted: 'a date such as "2026-12-25"' }],
  [String(YEARLY_PATTERN), { code: 'bad-date', wanted: 'a day of the year such as "12-25" (month and day)' }],
  [String(CLOCK_PATTERN), { code: 'bad-time', wanted: 'a time of day such as "09:00" or "17:30:15"' }],
  [String(WEEKDAYS_PATTERN), { code: 'bad-weekday', wanted: 'a weekday such as "MON" or a range such as "MON-FRI"' }],
  [
    String(LOCAL_TIME_PATTERN),
    {
      code: 'bad-time',
      wanted: 'a date with a time such as "2026-12-01T08:00", or with an offset "2026-12-01T08:00+01:00"',
    },
  ],
  [
    String(DATE_OR_TIME_PATTERN),
    { code: 'bad-time', wanted: 'a date such as "2026-12-01" or a time such as "2026-12-01T08:00"' },
  ],
  [String(GROUP_PATTERN), { code: 'bad-name', wanted: 'a name: letters, digits, "_", "." and "-", at most 64' }],
]);

const structured = new WeakSet<z.core.$ZodType>();

/** An object of ours: keys that start with `x-` are legal in it and mean nothing. */
export function keys<Shape extends z.ZodRawShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const schema = z.strictObject(shape);
  structured.add(schema);
  return schema;
}

export function isStructured(schema: z.core.$ZodType): boolean {
  return structured.has(schema);
}

const duration = z.string().regex(DURATION_PATTERN).describe('A duration: 10s, 15m, 1h30m, 500ms, 2d');
const plainText = z.union([z.string(), z.number(), z.boolean()]);
const paramType = z.enum(['string', 'integer', 'number', 'boolean', 'date', 'datetime', 'json']);
const endState = z.enum(
  TASK_END_STATES as readonly [string, ...string[]] as readonly ['succeeded', 'failed', 'skipped', 'stopped', 'lost'],
);

const words = {
  title: z.string().optional(),
  description: z.string().optional(),
  owner: z.string().optional(),
  labels: z.record(z.string(), plainText).optional(),
};

export const paramSchema = keys({
  ...words,
  type: paramType,
  default: z
    .json()
    .optional()
    .describe('A value of the type, or text with ${{ }} that reads `run`. Absent: a value is required at start.'),
  enum: z.array(z.json()).min(1).optional(),
});

const dailyInterval = keys({
  from: z.string().regex(CLOCK_PATTERN).describe('The first fire of the day'),
  to: z.string().regex(CLOCK_PATTERN).describe('The last moment for a fire; earlier than from: on the next day'),
  every: duration,
  weekdays: z
    .array(z.string().regex(WEEKDAYS_PATTERN))
    .min(1)
    .optional()
    .describe('MON … SUN or ranges such as MON-FRI'),
});

/** Exactly one of them says when a trigger is due. */
export const TRIGGER_KINDS = ['cron', 'fixedRate', 'fixedDelay', 'at', 'dailyInterval'] as const;

export const triggerSchema = keys({
  ...words,
  id: z.string().regex(GROUP_PATTERN).optional().describe('Keeps the schedule the same one when its content changes'),
  cron: z
    .string()
    .optional()
    .describe('5 fields: Unix rules (0 or 7 is Sunday); 6 or 7: Quartz rules (seconds first, 1 is Sunday)'),
  fixedRate: duration.optional().describe('Every so often, counted from start, else from 1970-01-01T00:00Z'),
  fixedDelay: duration.optional().describe('So long after the end of the last instance'),
  at: z.string().regex(LOCAL_TIME_PATTERN).optional().describe('Once: 2026-12-01T08:00 in the zone, or with an offset'),
  dailyInterval: dailyInterval.optional().describe('Every so often between two times of the day'),
  timezone: z.string().optional(),
  start: z.string().regex(DATE_OR_TIME_PATTERN).optional().describe('Nothing is due before this date or time'),
  end: z.string().regex(DATE_OR_TIME_PATTERN).optional().describe('Nothing is due after this date (inclusive) or time'),
  enabled: z.boolean().optional(),
  misfire: z
    .enum(['fire-once', 'fire-all', 'skip'])
    .optional()
    .describe('What becomes of missed fires: one for the latest (default), all, or none'),
  misfireThreshold: duration.optional().describe('A fire later than this counts as missed; default: 1m'),
  calendars: z
    .array(z.string().regex(NAME_PATTERN))
    .max(MAX_CALENDARS_OF_TRIGGER)
    .optional()
    .describe('Calendars of the project; a day that one of them excludes has no fires'),
  jitter: duration.optional().describe('Fires start up to this much later, always the same for the same time'),
  params: z.record(z.string(), z.json()).optional(),
});

const retryCount = z.int().min(0).max(1000);
const retry = z.union([
  retryCount,
  keys({
    max: retryCount.optional().describe('Retries after the first attempt'),
    delay: duration.optional(),
    backoff: z.enum(['fixed', 'exponential']).optional(),
    maxDelay: duration.optional(),
  }),
]);

const onLost = z.union([
  z.enum(['retry', 'fail']),
  keys({ retry: z.int().min(0).max(MAX_ALLOWED_LOSSES).describe('Losses that are followed by another attempt') }),
]);

const perTask = {
  retry: retry.optional().describe('A number of retries, or { max, delay, backoff, maxDelay }'),
  onLost: onLost
    .optional()
    .describe('What follows when an attempt is lost with its worker: retry (three times), fail, or { retry: N }'),
  timeout: duration.optional().describe('Per attempt'),
  onTimeout: z.enum(['fail', 'warn']).optional(),
  workerGroup: z.string().regex(GROUP_PATTERN).optional(),
  priority: z.int().min(-100).max(100).optional(),
  env: z.record(z.string(), plainText).optional(),
};

export const defaultsSchema = keys({ ...perTask });

const action = {
  run: z.string().min(1).optional().describe('A shell script: short for uses: shell and with: { run: … }'),
  uses: z.string().optional().describe('The task type'),
  with: z.record(z.string(), z.json()).optional(),
};

const broadcastStep = keys({ ...action, env: perTask.env });

const broadcast = keys({
  before: broadcastStep.optional().describe('Runs once, on one worker, before the subtasks'),
  after: broadcastStep
    .optional()
    .describe('Runs once, on one worker, when every subtask has ended, however; it sees their results'),
  parallel: z.int().min(1).max(MAX_SUBTASKS).optional().describe('Subtasks under way at once; default: all'),
  maxFailed: z
    .int()
    .min(0)
    .max(MAX_SUBTASKS)
    .optional()
    .describe('Subtasks that may end failed or lost without the task failing; default: 0'),
});

export const taskSchema = keys({
  ...words,
  ...action,
  needs: z
    .union([z.array(z.string()), z.record(z.string(), z.union([endState, z.array(endState).min(1)]))])
    .optional()
    .describe('Ids of tasks that must have succeeded, or a map from id to the accepted end states'),
  if: z.union([z.string(), z.boolean()]).optional().describe('A bare expression, without ${{ }}; false skips the task'),
  ...perTask,
  delay: duration.optional().describe('Wait between the moment the needs are met and the first attempt'),
  allowFailure: z.boolean().optional(),
  mode: z
    .enum(['single', 'broadcast'])
    .optional()
    .describe('single (default): one worker runs it. broadcast: every worker of the group does, once each'),
  broadcast: broadcast.optional().describe('Of a task with mode: broadcast'),
});

const sectionShape = {
  ...words,
  $schema: z.string().optional(),
  name: z.string().regex(NAME_PATTERN),
  project: z.string().regex(NAME_PATTERN).optional(),
  timezone: z.string().optional().describe("IANA name; default: the only trigger's, else UTC"),
  files: z.array(z.string()).optional().describe('Globs relative to this file'),
  dependsOn: z
    .array(z.string().regex(WORKFLOW_REF_PATTERN))
    .max(100)
    .optional()
    .describe('Workflows that this one follows in a backfill with its dependents: name, or project/name'),
  concurrency: keys({
    policy: z
      .enum(['parallel', 'serial-wait', 'serial-discard', 'serial-priority'])
      .optional()
      .describe(
        'What becomes of instances over the limit: first come, first served; none waits; the highest priority first',
      ),
    limit: z
      .int()
      .min(1)
      .max(MAX_CONCURRENCY_LIMIT)
      .optional()
      .describe('Instances that may go at once; default: 1 for a serial policy, none for parallel'),
  })
    .optional()
    .describe('How many instances of the workflow may go at the same time'),
  onFailure: z.enum(['continue', 'end']).optional(),
};

/** The root; its larger sections are read one by one, so that a mistake in one does not hide those in another. */
export const rootSchema = keys({
  ...sectionShape,
  params: z.record(z.string(), z.unknown()).optional(),
  triggers: z.array(z.unknown()).optional(),
  defaults: z.record(z.string(), z.unknown()).optional(),
  tasks: z.record(z.string(), z.unknown()),
});

/** All of it, for the published JSON Schema. */
export const workflowSchema = keys({
  ...sectionShape,
  params: z.record(z.string().regex(TASK_ID_PATTERN), paramSchema).optional(),
  triggers: z.array(triggerSchema).optional(),
  defaults: defaultsSchema.optional(),
  tasks: z.record(z.string().regex(TASK_ID_PATTERN), taskSchema),
});

export type RootFile = z.infer<typeof rootSchema>;
export type ParamFile = z.infer<typeof paramSchema>;
export type TriggerFile = z.infer<typeof triggerSchema>;
export type DefaultsFile = z.infer<typeof defaultsSchema>;
export type TaskFile = z.infer<typeof taskSchema>;
/** What a task or a step of a broadcast does. */
export type ActionFile = Pick<TaskFile, 'run' | 'uses' | 'with'>;
export type BroadcastStepFile = z.infer<typeof broadcastStep>;
