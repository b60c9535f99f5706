import { z } from 'zod';
import { id, jsonObject, time } from './scalar.ts';

/** `GET doctor`: each check looks for rows that nothing drives; a healthy system has no finding. */
export const doctorReport = z
  .object({
    healthy: z.boolean(),
    checkedAt: time,
    checks: z.array(
      z.object({
        code: z.string(),
        title: z.string(),
        findings: z.array(z.object({ instanceId: id.nullable(), message: z.string() })),
      }),
    ),
  })
  .meta({ id: 'DoctorReport' });
export type DoctorReport = z.infer<typeof doctorReport>;

/** A command that could not be applied. Its instance failed with the same reason. */
export const commandError = z
  .object({ id, instanceId: id, kind: z.string(), tries: z.int(), error: z.string(), parkedAt: time })
  .meta({ id: 'CommandError' });
export type CommandError = z.infer<typeof commandError>;

export const alert = z
  .object({
    id, kind: z.string(), instanceId: id.nullable(), payload: jsonObject, createdAt: time, tries: z.int(),
    lastError: z.string().nullable(), deliveredAt: time.nullable(),
  })
  .meta({ id: 'Alert' });
export type Alert = z.infer<typeof alert>;

export const taskTypeInfo = z
  .object({ name: z.string(), summary: z.string(), input: z.record(z.string(), z.unknown()) })
  .meta({ id: 'TaskType' });
export type TaskTypeInfo = z.infer<typeof taskTypeInfo>;

/** `GET /api/v1`: who asks, and what answers. */
export const serverInfo = z
  .object({ name: z.literal('keelson'), version: z.string(), token: z.object({ name: z.string(), role: z.string() }) })
  .meta({ id: 'ServerInfo' });
export type ServerInfo = z.infer<typeof serverInfo>;
