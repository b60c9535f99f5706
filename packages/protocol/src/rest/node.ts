import { z } from 'zod';
import { id, time } from './scalar.ts';

/** A server process or a worker. `GET nodes` lists those that are alive, servers first. */
export const node = z
  .discriminatedUnion('kind', [
    z.object({
      kind: z.literal('server'), id, roles: z.array(z.string()), host: z.string(), pid: z.int(), url: z.string().nullable(),
      version: z.string(), startedAt: time, seenUntil: time,
    }),
    z.object({
      kind: z.literal('worker'), id, name: z.string(), group: z.string(), state: z.enum(['live', 'draining', 'dead']),
      slots: z.int(), busy: z.int(), capabilities: z.array(z.string()), host: z.string(), pid: z.int(), version: z.string(),
      registeredAt: time, leaseUntil: time,
    }),
  ])
  .meta({ id: 'Node' });
export type Node = z.infer<typeof node>;
