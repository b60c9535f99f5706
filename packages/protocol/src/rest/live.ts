import { z } from 'zod';
import { countedInstance, instanceDetail } from './instance.ts';
import { taskInstance } from './task-instance.ts';

/**
 * `GET instances/{id}/events`: server-sent events. First a `snapshot`, then each change; `end` when the instance has
 * ended, and the stream closes. A client that comes back gets a new snapshot. Comment lines (`:`) keep the line open.
 */
export const liveEvent = z.discriminatedUnion('event', [
  z.object({ event: z.literal('snapshot'), data: instanceDetail }),
  z.object({ event: z.literal('instance'), data: countedInstance }),
  z.object({ event: z.literal('task'), data: taskInstance }),
  z.object({ event: z.literal('end'), data: countedInstance }),
]);
export type LiveEvent = z.infer<typeof liveEvent>;
