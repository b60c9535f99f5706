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
      version: z.string(),
      startedAt: time,
      seenUntil: time,
      /** False: silent for longer than it promised. */
      alive: z.boolean(),
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
      running: z.array(workerTask),
    }),
  ])
  .meta({ id: 'Node' });
export type Node = z.infer<typeof node>;
