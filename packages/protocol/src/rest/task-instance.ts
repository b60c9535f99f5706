import { z } from 'zod';
import { id, jsonObject, jsonValue, reason, sha256, taskId, time } from './scalar.ts';

export const TASK_STATES = [
  'waiting',
  'delayed',
  'ready',
  'dispatched',
  'running',
  'succeeded',
  'failed',
  'skipped',
  'stopped',
  'lost',
] as const;
export const taskState = z.enum(TASK_STATES);

export const artifact = z.object({ path: z.string(), sha256, size: z.int(), mode: z.int() }).meta({ id: 'Artifact' });
export type RestArtifact = z.infer<typeof artifact>;

/** How far a broadcast is: subtasks by their states. They add up to `total`, which is 0 until its workers were looked at. */
export const broadcastSummary = z
  .object({
    phase: z.enum(['before', 'fan', 'after', 'ended']),
    total: z.int(),
    /** Bound to their workers, and not handed over yet. */
    waiting: z.int(),
    running: z.int(),
    succeeded: z.int(),
    failed: z.int(),
    lost: z.int(),
    stopped: z.int(),
    skipped: z.int(),
  })
  .meta({ id: 'BroadcastSummary' });
export type BroadcastSummary = z.infer<typeof broadcastSummary>;

/** A broadcast's subtask on one worker. */
export const subtask = z
  .object({
    worker: z.string(),
    incarnation: z.string(),
    state: z.enum(['bound', 'dispatched', 'running', 'succeeded', 'failed', 'lost', 'stopped', 'skipped']),
    attempt: z.int(),
    attemptId: id,
    dispatchedAt: time.nullable(),
    startedAt: time.nullable(),
    endedAt: time.nullable(),
    reason: reason.nullable(),
    outputs: z.record(z.string(), jsonValue),
  })
  .meta({ id: 'Subtask' });
export type RestSubtask = z.infer<typeof subtask>;

/** A time is null until it has happened. */
export const taskInstance = z
  .object({
    /** Absent rows have an id too: it names instance, generation and task. */
    id,
    instanceId: id,
    generation: z.int(),
    task: taskId,
    uses: z.string(),
    needs: z.array(taskId),
    state: taskState,
    /** The current or last attempt; 0 when there has been none. */
    attempt: z.int(),
    attemptId: id.nullable(),
    /** The first attempt and the retries that its policy allows. */
    maxAttempts: z.int(),
    worker: z.string().nullable(),
    workerGroup: z.string(),
    /** When a delay or a retry's delay ends. */
    dueAt: time.nullable(),
    readyAt: time.nullable(),
    dispatchedAt: time.nullable(),
    startedAt: time.nullable(),
    endedAt: time.nullable(),
    /** Why a running attempt is being killed. */
    killReason: z.enum(['stop', 'timeout']).nullable(),
    /** Why it ended so; between two attempts, why the attempt before did. */
    reason: reason.nullable(),
    /** What a processor said last: `fraction` from 0 to 1, `message`. */
    progress: jsonObject.nullable(),
    artifactCount: z.int(),
    /** It would be in line, or its delay would run, if the instance were not pausing or paused. */
    held: z.literal(true).optional(),
    /** The generation in which it ended, when it was carried into this one. Its log and its artifacts are those of that run. */
    carriedFrom: z.int().optional(),
    /** Present on a broadcast that has begun. */
    broadcast: broadcastSummary.optional(),
  })
  .meta({ id: 'TaskInstance' });
export type TaskInstance = z.infer<typeof taskInstance>;

export const attempt = z
  .object({
    attempt: z.int(),
    attemptId: id,
    state: z.enum(['dispatched', 'running', 'succeeded', 'failed', 'stopped', 'lost']),
    worker: z.string().nullable(),
    readyAt: time.nullable(),
    dispatchedAt: time.nullable(),
    startedAt: time.nullable(),
    endedAt: time.nullable(),
    reason: reason.nullable(),
  })
  .meta({ id: 'Attempt' });
export type Attempt = z.infer<typeof attempt>;

/** `GET task-instances/{id}` and `GET instances/{id}/tasks/{task}`. */
export const taskInstanceDetail = taskInstance
  .extend({
    definition: jsonObject,
    outputs: z.record(z.string(), jsonValue).nullable(),
    artifacts: z.array(artifact),
    /** In order, the current or last one included. */
    attempts: z.array(attempt),
    /** Present on a broadcast: one for each worker, in the order of their indexes. */
    subtasks: z.array(subtask).optional(),
  })
  .meta({ id: 'TaskInstanceDetail' });
export type TaskInstanceDetail = z.infer<typeof taskInstanceDetail>;
