import { z } from 'zod';
import { id, time } from './scalar.ts';

/** A task that a worker holds. */
export const workerTask = z
  .object({
    id,
    instanceId: id,
    generation: z.int(),
    task: z.string(),
    project: z.string(),
    workflow: z.string(),
    attempt: z.int(),
    state: z.enum(['dispatched', 'running']),
    since: time,
  })
  .meta({ id: 'WorkerTask' });

/** `GET nodes`: a server process, or a worker that is not dead. Servers come first. */
export const node = z
  .discriminatedUnion('kind', [
    z.object({
      kind: z.literal('server'),
      id,
      roles: z.array(z.string()),
      host: z.string(),
      pid: z.int(),
      url: z.string().nullable(),
      /** What workers are told to call; null: they are not told of it. */
      gatewayUrl: z.string().nullable(),
      version: z.string(),
      /** The newest schema that it knows; null: a release that does not say. */
      schemaVersion: z.int().nullable(),
      startedAt: time,
      seenAt: time,
      seenUntil: time,
      /** False: silent for longer than it promised. */
      alive: z.boolean(),
      /** True: it takes no new work and is about to end. */
      draining: z.boolean(),
      load: z
        .object({
          /** Decisions committed per second; absent without the role master. */
          stepsPerSecond: z.number().optional(),
          /** Share of the time that its event loop was busy, 0 to 1. */
          eventLoop: z.number(),
          /** Workers whose leases it keeps; absent without the role master. */
          workers: z.int().optional(),
        })
        .nullable(),
    }),
    z.object({
      kind: z.literal('worker'),
      id,
      name: z.string(),
      group: z.string(),
      state: z.enum(['live', 'draining']),
      slots: z.int(),
      inUse: z.int(),
      capabilities: z.array(z.string()),
      host: z.string(),
      pid: z.int(),
      version: z.string(),
      registeredAt: time,
      leaseUntil: time,
      leaseOver: z.boolean(),
      /** Version of the worker protocol that it speaks. */
      protocol: z.int(),
      /** True: the token that it joined with was revoked. It ends at its next call. */
      revoked: z.boolean(),
      /** The server that it talked to last; null for one that no server has met. */
      gateway: z.string().nullable(),
      /** Load average of its machine, per core; null when it does not say. */
      load: z.number().nullable(),
      running: z.array(workerTask),
    }),
  ])
  .meta({ id: 'Node' });
export type Node = z.infer<typeof node>;

/** A lease, as a duration (`30s`, `2m`) of 10 s to 10 min. */
export const putWorkerGroupRequest = z.strictObject({ lease: z.string().min(1).max(32) });
export type PutWorkerGroupRequest = z.infer<typeof putWorkerGroupRequest>;

/** `GET worker-groups`. */
export const workerGroup = z
  .object({
    name: z.string(),
    /** Of workers that register from now on. */
    leaseMs: z.int(),
    /** Workers of it that are not dead. */
    workers: z.int(),
  })
  .meta({ id: 'WorkerGroup' });
export type WorkerGroup = z.infer<typeof workerGroup>;
