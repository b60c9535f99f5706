import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { InstanceDetail, InstanceOperation } from '@keelson/protocol';
import { KeelsonApiError } from '@keelson/sdk/client';
import type { KeelsonClient } from '@keelson/sdk/client';
import type { TaskSource } from '@keelson/sdk';
import { waitFor } from './wait-for.ts';

/** A folder through which a test leads the tasks of its workflow. */
export interface Leash {
  /** A task that notes that it runs, waits to be let go, and fails if it is told to. */
  readonly task: TaskSource;
  letGo(...tasks: readonly string[]): Promise<void>;
  fail(...tasks: readonly string[]): Promise<void>;
  /** From now on it fails no more. */
  mend(...tasks: readonly string[]): Promise<void>;
  /** Names of the tasks that have run so far, once for each time. */
  ran(): Promise<string[]>;
}

const SCRIPT = `echo "$KEELSON_TASK" >> "$LEASH/ran"
while [ ! -e "$LEASH/$KEELSON_TASK.go" ]; do sleep 0.05; done
! grep -q fail "$LEASH/$KEELSON_TASK.end" 2>/dev/null`;

export async function makeLeash(folder: string, name: string): Promise<Leash> {
  const leash = join(folder, name);
  await mkdir(leash);
  const write = (suffix: string, text: string) => async (tasks: readonly string[]) => {
    await Promise.all(tasks.map((task) => writeFile(join(leash, `${task}.${suffix}`), text)));
  };
  const [go, failing, mended] = [write('go', ''), write('end', 'fail'), write('end', '')];
  return {
    task: { run: SCRIPT, env: { LEASH: leash } },
    letGo: (...tasks) => go(tasks),
    fail: (...tasks) => failing(tasks),
    mend: (...tasks) => mended(tasks),
    ran: async () =>
      (await readFile(join(leash, 'ran'), 'utf8').catch(() => '')).split('\n').filter((line) => line !== ''),
  };
}

export async function waitForState(
  client: KeelsonClient,
  id: string,
  state: InstanceDetail['state'],
): Promise<InstanceDetail> {
  return waitFor(`instance ${id} ${state}`, async () => {
    const found = await client.getInstance(id);
    if (found.endedAt !== null && found.state !== state)
      throw new Error(`instance ${id} ended ${found.state} instead of ${state}: ${JSON.stringify(found.reason)}`);
    return found.state === state ? found : undefined;
  });
}

export async function waitForTask(client: KeelsonClient, id: string, task: string, state: string): Promise<void> {
  await waitFor(`task ${id}/${task} ${state}`, async () =>
    (await client.getTask(id, task)).state === state ? true : undefined,
  );
}

/** `succeeded` and so on, by task. */
export function statesOf({ tasks }: InstanceDetail): Record<string, string> {
  return Object.fromEntries(tasks.map(({ task, state }) => [task, state]));
}

/** `requested`, `already`, or the code of the refusal with its status. */
export async function answerOf(asking: Promise<{ readonly outcome: string }>): Promise<string> {
  try {
    return (await asking).outcome;
  } catch (error) {
    if (!(error instanceof KeelsonApiError)) throw error;
    assert.ok(error.detail.length > 20, `too few words: ${error.detail}`);
    return `${error.status} ${error.code}`;
  }
}

/** Types of the events in an instance's history, and who asked for them. */
export async function storyOf(client: KeelsonClient, id: string): Promise<string[]> {
  const { items } = await client.getHistory(id, { limit: 500 });
  return items.flatMap(({ events }) =>
    events.map((event) => ('by' in event ? `${event.type} by ${event.by}` : event.type)),
  );
}

/** Each operation, on the task `hold` or what comes `next` where it needs one. */
export const CALLS: Readonly<
  Record<
    string,
    {
      readonly operation: InstanceOperation;
      call(client: KeelsonClient, id: string): Promise<{ readonly outcome: string }>;
    }
  >
> = {
  pause: { operation: 'pause', call: (client, id) => client.pauseInstance(id) },
  resume: { operation: 'resume', call: (client, id) => client.resumeInstance(id) },
  stop: { operation: 'stop', call: (client, id) => client.stopInstance(id) },
  rerun: { operation: 'rerun', call: (client, id) => client.rerunInstance(id) },
  from: { operation: 'rerun', call: (client, id) => client.rerunInstance(id, { from: 'hold' }) },
  only: { operation: 'rerun', call: (client, id) => client.rerunInstance(id, { only: 'hold' }) },
  recover: { operation: 'recover', call: (client, id) => client.recoverInstance(id) },
  'skip-task': { operation: 'skip', call: (client, id) => client.skipTask(id, 'next') },
  'force-success': { operation: 'force-success', call: (client, id) => client.forceTaskSuccess(id, 'hold') },
  'set-priority': { operation: 'priority', call: (client, id) => client.setPriority(id, 7) },
};
