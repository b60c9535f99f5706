import { z } from 'zod';
import { instanceState } from './instance.ts';
import { id, jsonValue, taskId, time } from './scalar.ts';
import { taskState } from './task-instance.ts';

/** One reason, as a stable code and in words; `details` carries the figures behind the words. */
export const whyReason = z
  .object({ code: z.string(), message: z.string(), since: time.nullable(), details: z.record(z.string(), jsonValue) })
  .meta({ id: 'WhyReason' });
export type WhyReason = z.infer<typeof whyReason>;

/** `GET instances/{id}/why`: why the instance is where it is, and each of its unfinished or unsuccessful tasks. */
export const why = z
  .object({
    instance: z.object({ id, state: instanceState, reasons: z.array(whyReason) }),
    tasks: z.array(z.object({ id, task: taskId, state: taskState, reasons: z.array(whyReason).min(1) })),
  })
  .meta({ id: 'Why' });
export type Why = z.infer<typeof why>;
