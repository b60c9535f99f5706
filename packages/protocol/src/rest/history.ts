import { z } from 'zod';
import { pageQuery } from './page.ts';
import { id, reason, time } from './scalar.ts';

const task = z.string();
const attempt = z.int();
const attemptId = z.string();
/** The name of the caller's token. */
const by = z.string();
const queued = z.literal(true).optional();
const held = z.literal(true).optional();
const generation = {
  generation: z.int(),
  mode: z.enum(['rerun', 'recover', 'from', 'only', 'force-success']),
  task: task.optional(),
  by,
  version: z.string(),
};

/** The engine's events as core's `HistoryEvent` has them. */
export const historyEvent = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('instance-created'), by, version: z.string(), queued }),
    z.object({ type: z.literal('instance-started'), tasks: z.int() }),
    z.object({ type: z.literal('stop-requested'), by }),
    z.object({ type: z.literal('pause-requested'), by }),
    z.object({ type: z.literal('instance-paused') }),
    z.object({ type: z.literal('resumed'), by }),
    z.object({ type: z.literal('skip-requested'), task, by }),
    z.object({ type: z.literal('priority-set'), priority: z.int(), by }),
    z.object({ type: z.literal('operation-refused'), operation: z.string(), task: task.optional(), by, reason }),
    z.object({ type: z.literal('generation-created'), ...generation, queued }),
    z.object({ type: z.literal('tasks-carried'), tasks: z.array(task) }),
    z.object({ type: z.literal('generation-started'), ...generation, carried: z.array(task) }),
    z.object({ type: z.literal('failure-ends-instance'), task }),
    z.object({
      type: z.literal('instance-ended'),
      state: z.enum(['stopped', 'failed', 'succeeded']),
      reason: reason.optional(),
    }),
    z.object({
      type: z.literal('task-delayed'),
      task,
      attempt,
      cause: z.enum(['delay', 'retry']),
      delayMs: z.number(),
      held,
    }),
    z.object({ type: z.literal('task-ready'), task, attempt, held }),
    z.object({
      type: z.literal('task-dispatched'),
      task,
      attempt,
      attemptId,
      incarnation: z.string(),
      subtask: z.int().optional(),
    }),
    z.object({ type: z.literal('task-running'), task, attempt, attemptId }),
    z.object({ type: z.literal('timeout-passed'), task, attempt, attemptId, action: z.enum(['fail', 'warn']) }),
    z.object({
      type: z.literal('attempt-ended'),
      task,
      attempt,
      attemptId,
      end: z.enum(['succeeded', 'failed', 'stopped', 'lost']),
      reason: reason.optional(),
      subtask: z.int().optional(),
    }),
    z.object({
      type: z.literal('broadcast-started'),
      task,
      workers: z.array(z.object({ incarnation: z.string(), worker: z.string() })),
    }),
    z.object({
      type: z.literal('subtask-ended'),
      task,
      subtask: z.int(),
      incarnation: z.string(),
      state: z.enum(['succeeded', 'failed', 'lost', 'stopped', 'skipped']),
      attempt,
      attemptId,
      reason: reason.optional(),
    }),
    z.object({
      type: z.literal('subtasks-withdrawn'),
      task,
      count: z.int(),
      state: z.enum(['skipped', 'stopped']),
      reason,
    }),
    z.object({
      type: z.literal('task-ended'),
      task,
      attempt,
      attemptId: attemptId.optional(),
      state: z.enum(['succeeded', 'failed', 'skipped', 'stopped', 'lost']),
      reason: reason.optional(),
    }),
    z.object({ type: z.literal('remaining-ended'), state: z.literal('stopped'), reason: reason.optional() }),
    z.object({ type: z.literal('command-parked'), command: z.string(), reason }),
    z.object({ type: z.literal('repaired'), rule: z.string(), by: z.string(), message: z.string() }),
  ])
  .meta({ id: 'HistoryEvent' });

/** `asked`: only steps with something that somebody asked for: a start, an operation, a repair. Their other events come along. */
export const historyQuery = pageQuery.extend({ asked: z.stringbool().optional() });

/** One step of the engine: everything that one transaction changed. `GET instances/{id}/history` lists them, oldest first. */
export const historyEntry = z.object({ id, at: time, events: z.array(historyEvent) }).meta({ id: 'HistoryEntry' });
export type HistoryEntry = z.infer<typeof historyEntry>;
