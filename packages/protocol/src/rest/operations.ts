import { z } from 'zod';
import { pageQuery } from './page.ts';
import { id, jsonObject, moment, time } from './scalar.ts';

/** `GET doctor`: one finding per rule that the data must keep; a healthy system has no rows in any. */
export const doctorReport = z
  .object({
    healthy: z.boolean(),
    findings: z.array(
      z.object({
        name: z.string(),
        explanation: z.string(),
        /** Why it can never be otherwise. */
        why: z.string().optional(),
        /** What a finding would mean. */
        meaning: z.string().optional(),
        /** What `POST doctor/repair` does about it; null: only a person can mend it. */
        repair: z.string().nullable().optional(),
        byHand: z.string().nullable().optional(),
        /** Rows that break the rule, at most 100. */
        rows: z.array(z.record(z.string(), z.unknown())),
      }),
    ),
  })
  .meta({ id: 'DoctorReport' });
export type DoctorReport = z.infer<typeof doctorReport>;

/** `POST doctor/repair`: what was mended, each in the history of its instance too, and what is left. */
export const doctorRepairs = z
  .object({
    repairs: z.array(z.object({ rule: z.string(), instanceId: id.nullable(), message: z.string() })),
    left: doctorReport,
  })
  .meta({ id: 'DoctorRepairs' });
export type DoctorRepairs = z.infer<typeof doctorRepairs>;

/** `GET verify`: which instances. `since` is an instance's id or a time. */
export const verifyQuery = z.strictObject({
  instance: z
    .string()
    .regex(/^\d{1,18}$/, 'must be the id of an instance')
    .optional(),
  since: z.union([z.string().regex(/^\d{1,18}$/), moment]).optional(),
});

/** Where the rows are not what the history says, or the history breaks its rules; `more`: the rest was not looked at. */
export const verifyReport = z
  .object({
    instances: z.int(),
    events: z.int(),
    violations: z.array(
      z.object({
        instanceId: id,
        task: z.string().nullable(),
        check: z.string(),
        expected: z.string(),
        found: z.string(),
      }),
    ),
    more: z.boolean(),
  })
  .meta({ id: 'VerifyReport' });
export type VerifyReport = z.infer<typeof verifyReport>;

/** `GET instances/{id}/command-errors`: commands that could not be applied. The instance failed with the same reason. */
export const commandError = z
  .object({ commandId: id, kind: z.string(), payload: jsonObject, tries: z.int(), error: z.string(), parkedAt: time })
  .meta({ id: 'CommandError' });
export type CommandError = z.infer<typeof commandError>;

export const alertListQuery = pageQuery.extend({ undelivered: z.stringbool().optional() });

export const alert = z
  .object({
    id,
    kind: z.string(),
    instanceId: id.nullable(),
    payload: jsonObject,
    createdAt: time,
    tries: z.int(),
    nextTryAt: time,
    lastError: z.string().nullable(),
    deliveredAt: time.nullable(),
  })
  .meta({ id: 'Alert' });
export type Alert = z.infer<typeof alert>;

export const taskTypeInfo = z
  .object({ name: z.string(), summary: z.string(), input: z.record(z.string(), z.unknown()) })
  .meta({ id: 'TaskType' });
export type TaskTypeInfo = z.infer<typeof taskTypeInfo>;

/** `GET /api/v1`: who asks, and what answers. */
export const serverInfo = z
  .object({
    name: z.literal('keelson'),
    version: z.string(),
    /** What else it speaks and knows: a client or a worker of another release finds out here whether it is understood. */
    speaks: z.object({ rest: z.array(z.int()), worker: z.array(z.int()), schema: z.int() }),
    token: z.object({ name: z.string(), role: z.string() }),
  })
  .meta({ id: 'ServerInfo' });
export type ServerInfo = z.infer<typeof serverInfo>;
