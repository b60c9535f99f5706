import { z } from 'zod';
import { time } from './scalar.ts';

/** A duration (`90d`, at least `1h`), or `forever`. */
const keep = z.string().min(1).max(32);

const projectRules = {
  /** Instances that succeeded, with their tasks, attempts and history. */
  succeeded: keep,
  /** Those that failed or were stopped. */
  unsuccessful: keep,
  logs: keep,
  /** Fires and events of schedules, and ended backfills. */
  fires: keep,
};
const rules = {
  ...projectRules,
  alerts: keep,
  /** Commands that could not be applied. */
  'command-errors': keep,
  /** Incarnations of workers that have ended. */
  workers: keep,
  /** Files and artifacts that nobody names any more, from their last use. */
  blobs: keep,
};

/** Rows, but for `partitions` (of a million instance ids each) and `blobBytes`. */
export const removed = z
  .object({
    instances: z.number(),
    partitions: z.number(),
    logs: z.number(),
    fires: z.number(),
    alerts: z.number(),
    commandErrors: z.number(),
    workers: z.number(),
    blobs: z.number(),
    blobBytes: z.number(),
  })
  .meta({ id: 'Removed' });
export type Removed = z.infer<typeof removed>;

/** `GET retention`: how long what is kept. */
export const retentionPolicy = z
  .object({
    installation: z.object(rules),
    /** Projects with rules of their own, and only those. */
    projects: z.record(z.string(), z.object(projectRules).partial()),
    /** Null: never. `endedAt` null: it is under way, or was cut off. */
    lastRun: z.object({ beganAt: time, endedAt: time.nullable(), removed }).nullable(),
  })
  .meta({ id: 'RetentionPolicy' });
export type RetentionPolicy = z.infer<typeof retentionPolicy>;

/** `PUT retention`: sets the rules that are named. With a project its own; `inherit` drops one of these. */
export const putRetentionRequest = z.strictObject({
  project: z.string().min(1).max(63).optional(),
  keep: z.strictObject(rules).partial(),
});
export type PutRetentionRequest = z.infer<typeof putRetentionRequest>;

export const runRetentionRequest = z.strictObject({ dryRun: z.boolean().default(false) });
export type RunRetentionRequest = z.input<typeof runRetentionRequest>;

/** `POST retention/run`: `busy`: a master is at it. `more`: ask again, there is more to remove. */
export const retentionRun = z
  .object({ outcome: z.enum(['done', 'busy', 'dry-run']), removed, more: z.boolean() })
  .meta({ id: 'RetentionRun' });
export type RetentionRun = z.infer<typeof retentionRun>;
