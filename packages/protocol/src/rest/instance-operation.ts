import { z } from 'zod';
import { id, jsonObject, taskId, time, version } from './scalar.ts';

/** What an operator can ask of an instance or of one of its tasks. */
export const INSTANCE_OPERATIONS = [
  'pause',
  'resume',
  'stop',
  'rerun',
  'recover',
  'skip',
  'force-success',
  'priority',
] as const;
export const instanceOperation = z.enum(INSTANCE_OPERATIONS);
export type InstanceOperation = z.infer<typeof instanceOperation>;

/**
 * The generation that the caller has seen. When it was followed by exactly this operation the answer is `already`, when by anything else
 * `generation-changed`: so a call whose answer was lost can be repeated.
 */
const seenGeneration = version;

/** Operations that need nothing said take no body, or an empty one. */
export const nothing = z.strictObject({});

export const priorityValue = z.int().min(-100).max(100);

/** `POST instances/{id}/rerun`; the whole body is optional. */
export const rerunRequest = z.strictObject({
  /** This task and everything after it, instead of all of the instance. */
  from: taskId.optional(),
  /** This task alone. */
  only: taskId.optional(),
  /** Values that differ from those of the instance; checked as at a start. */
  params: jsonObject.optional(),
  /** The workflow's latest version instead of the instance's own. */
  latest: z.boolean().optional(),
  generation: seenGeneration.optional(),
});
export type RerunRequest = z.infer<typeof rerunRequest>;

/** `POST instances/{id}/recover`; the whole body is optional. */
export const recoverRequest = z.strictObject({
  latest: z.boolean().optional(),
  generation: seenGeneration.optional(),
});
export type RecoverRequest = z.infer<typeof recoverRequest>;

/** `POST instances/{id}/tasks/{task}/force-success`; the whole body is optional. */
export const forceSuccessRequest = z.strictObject({ generation: seenGeneration.optional() });
export type ForceSuccessRequest = z.infer<typeof forceSuccessRequest>;

/** `POST instances/{id}/priority`. */
export const priorityRequest = z.strictObject({ priority: priorityValue });
export type PriorityRequest = z.infer<typeof priorityRequest>;

/** The answer to every operation, with 202: it is asked for, or somebody had asked before. */
export const operationResponse = z
  .object({
    id,
    operation: instanceOperation,
    outcome: z.enum(['requested', 'already']),
    /** Of a rerun, a recover and a forced success: the generation that they begin. */
    generation: z.int().optional(),
  })
  .meta({ id: 'OperationResponse' });
export type OperationResponse = z.infer<typeof operationResponse>;

export const GENERATION_MODES = ['first', 'rerun', 'from', 'only', 'recover', 'force-success'] as const;

/** `GET instances/{id}/generations`: one more each time an ended instance was begun again, oldest first. */
export const instanceGeneration = z
  .object({
    generation: z.int(),
    mode: z.enum(GENERATION_MODES),
    /** Of `from`, `only` and `force-success`. */
    task: taskId.nullable(),
    version: z.int(),
    params: jsonObject,
    createdBy: z.string(),
    createdAt: time,
    /** Null: it is under way. */
    state: z.enum(['stopped', 'failed', 'succeeded']).nullable(),
    endedAt: time.nullable(),
  })
  .meta({ id: 'InstanceGeneration' });
export type InstanceGeneration = z.infer<typeof instanceGeneration>;
