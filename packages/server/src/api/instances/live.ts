import { z } from 'zod';
import { INSTANCE_END_STATES } from '@keelson/core';
import { scalar } from '@keelson/protocol';
import type { CountedInstance, InstanceDetail } from '@keelson/protocol';
import type { Api, ApiDeps } from '../deps.ts';
import { readInstance } from './instances.ts';
import { pause } from '../http/server-sent-events.ts';
import type { EventSource, EventStreams } from '../http/server-sent-events.ts';

/** Between two looks while a client watches; a large instance is looked at less often, so that watching costs a tenth at most. */
const LOOK_EVERY_MS = 250;
const COST_FACTOR = 10;

export function liveRoutes(api: Api, { store }: ApiDeps, streams: EventStreams): void {
  api.get(
    '/api/v1/instances/:id/events',
    {
      exposeHeadRoute: false,
      config: { permission: 'instances:read' },
      schema: {
        summary: 'Watch an instance: server-sent events snapshot, instance, task, end',
        produces: ['text/event-stream'],
        params: z.object({ id: scalar.id }),
      },
    },
    async (request, reply) => {
      const first = await readInstance(store, request.params.id);
      return streams.send(request, reply, (signal) => liveEvents(first, () => readInstance(store, first.id), signal));
    },
  );
}

/** A snapshot, then what differs from one look to the next, until the instance has ended. */
export async function* liveEvents(
  first: InstanceDetail,
  look: () => Promise<InstanceDetail>,
  signal: AbortSignal,
): EventSource {
  yield { event: 'snapshot', data: first };
  let before = first;
  let seenTasks = taskTexts(first);
  let waitMs = LOOK_EVERY_MS;
  while (!isEnded(before)) {
    if (!(await pause(waitMs, signal))) return;
    const began = performance.now();
    const now = await look();
    waitMs = Math.max(LOOK_EVERY_MS, (performance.now() - began) * COST_FACTOR);
    const tasks = taskTexts(now);
    let changed = false;
    for (const task of now.tasks) {
      if (tasks.get(task.id) === seenTasks.get(task.id)) continue;
      changed = true;
      yield { event: 'task', data: task };
    }
    const instance = withoutTasks(now);
    if (JSON.stringify(instance) !== JSON.stringify(withoutTasks(before))) {
      changed = true;
      yield { event: 'instance', data: instance };
    }
    if (!changed) yield undefined;
    before = now;
    seenTasks = tasks;
  }
  yield { event: 'end', data: withoutTasks(before) };
}

function taskTexts({ tasks }: InstanceDetail): Map<string, string> {
  return new Map(tasks.map((task) => [task.id, JSON.stringify(task)]));
}

function withoutTasks({ tasks: _tasks, ...instance }: InstanceDetail): CountedInstance {
  return instance;
}

function isEnded({ state }: InstanceDetail): boolean {
  return (INSTANCE_END_STATES as readonly string[]).includes(state);
}
