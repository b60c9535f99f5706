import { z } from 'zod';
import { pageQuery } from './page.ts';
import { id, jsonObject, moment, name, reason, time, version } from './scalar.ts';
import { taskInstance, taskState } from './task-instance.ts';

export const INSTANCE_STATES = [
  'queued',
  'running',
  'pausing',
  'paused',
  'stopping',
  'stopped',
  'failed',
  'succeeded',
] as const;
export const instanceState = z.enum(INSTANCE_STATES);

export const INSTANCE_TRIGGERS = ['manual', 'schedule', 'backfill'] as const;
export const instanceTrigger = z.enum(INSTANCE_TRIGGERS);

/** `POST projects/{p}/workflows/{w}/instances`, with an optional header `Idempotency-Key`. */
export const startRequest = z.strictObject({
  params: jsonObject.optional(),
  /** The time the run is for; default: now. */
  runTime: moment.optional(),
  /** Default: the latest. */
  version: version.optional(),
  /** Higher starts first among ready tasks of a worker group. */
  priority: z.int().min(-100).max(100).optional(),
});
export type StartRequest = z.infer<typeof startRequest>;

export const idempotencyKey = z.string().regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters');

const instanceCore = z.object({
  id,
  project: name,
  workflow: name,
  version: z.int(),
  generation: z.int(),
  state: instanceState,
  /** Why it failed or stopped; while it lives, the first failure so far. */
  reason: reason.nullable(),
  runTime: time,
  trigger: instanceTrigger,
  priority: z.int(),
  createdBy: z.string(),
  createdAt: time,
  /** When its generation was asked for; of the first one, when it was created. */
  begunAt: time,
  endedAt: time.nullable(),
  taskCount: z.int(),
  /** Tasks that have not ended; 0 once the instance has. */
  unfinished: z.int(),
});

export const instance = instanceCore.meta({ id: 'Instance' });
export type Instance = z.infer<typeof instance>;

/** The answer to a start: 201, or 200 when the key has started it before. `params` are the resolved ones. */
export const startResponse = z
  .object({ id, project: name, workflow: name, version: z.int(), runTime: time, priority: z.int(), params: jsonObject })
  .meta({ id: 'StartResponse' });
export type StartResponse = z.infer<typeof startResponse>;

/** With the tasks counted: how many are in each state that some task is in. */
export const countedInstance = instanceCore
  .extend({ counts: z.partialRecord(taskState, z.int()) })
  .meta({ id: 'CountedInstance' });
export type CountedInstance = z.infer<typeof countedInstance>;

/** `GET instances/{id}`. Tasks in the order of the definition, those without a row yet as `waiting`. */
export const instanceDetail = countedInstance
  .extend({
    /** IANA zone that the run time is shown in. */
    timezone: z.string(),
    params: jsonObject,
    tasks: z.array(taskInstance),
  })
  .meta({ id: 'InstanceDetail' });
export type InstanceDetail = z.infer<typeof instanceDetail>;

/** Which instances; all of it has to hold. Ranges take their first moment and not their last one. */
export const instanceCriteria = z.strictObject({
  project: name.optional(),
  workflow: name.optional(),
  state: instanceState.optional(),
  trigger: instanceTrigger.optional(),
  createdFrom: moment.optional(),
  createdTo: moment.optional(),
  /** The time the run is for. */
  runFrom: moment.optional(),
  runTo: moment.optional(),
});
export type InstanceCriteria = z.infer<typeof instanceCriteria>;

export const instanceListQuery = pageQuery.extend(instanceCriteria.shape);
export type InstanceListQuery = z.infer<typeof instanceListQuery>;
