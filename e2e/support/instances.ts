import assert from 'node:assert/strict';
import type { InstanceDetail, WhyReason } from '@keelson/protocol';
import type { WorkflowSource } from '@keelson/sdk';
import type { KeelsonClient } from '@keelson/sdk/client';
import type { DevProcess } from './dev-process.ts';
import { waitFor } from './wait-for.ts';

/** Publishes a definition through REST, as any client may. */
export async function publish(dev: DevProcess, definition: WorkflowSource<object>): Promise<void> {
  const path = `projects/default/workflows/${definition.name}`;
  const response = await dev.fetch(path, { method: 'PUT', body: JSON.stringify(definition) });
  assert.ok(response.ok, await response.clone().text());
}

/** Publishes a definition and starts it; gives the instance's id. */
export async function publishAndStart(dev: DevProcess, definition: WorkflowSource<object>): Promise<string> {
  await publish(dev, definition);
  return (await dev.client.start('default', definition.name)).id;
}

export async function waitForEnd(client: KeelsonClient, id: string, deadlineMs?: number): Promise<InstanceDetail> {
  const ended = async () => {
    const instance = await client.getInstance(id);
    return instance.endedAt === null ? undefined : instance;
  };
  return waitFor(`the end of instance ${id}`, ended, deadlineMs);
}

/** Until `why` gives this code for the task. */
export async function waitForReason(client: KeelsonClient, id: string, task: string, code: string): Promise<WhyReason> {
  return waitFor(`why of ${id}/${task} is ${code}`, async () => {
    const found = (await client.getWhy(id)).tasks.find((each) => each.task === task);
    return found?.reasons.find((reason) => reason.code === code);
  });
}
