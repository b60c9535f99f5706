import assert from 'node:assert/strict';
import type { Cluster, LedgerTask, ServerNode } from '../support/cluster.ts';
import { waitFor } from '../support/wait-for.ts';

export interface Task extends LedgerTask {
  readonly needs?: readonly string[];
  readonly if?: string;
  readonly mode?: 'broadcast';
  readonly broadcast?: { readonly maxFailed: number; readonly after: { readonly run: string } };
  readonly retry?: { readonly max: number; readonly delay: string };
}

export interface Definition {
  readonly name: string;
  readonly params?: object;
  readonly defaults?: object;
  readonly concurrency?: object;
  readonly tasks: Readonly<Record<string, Task>>;
}

/** Tasks in a row, `t1` to `t<length>`. */
export function chain(name: string, length: number, task: LedgerTask): Definition {
  const ids = Array.from({ length }, (_, index) => `t${index + 1}`);
  const tasks = ids.map((id, index) => [id, index === 0 ? task : { needs: [ids[index - 1] ?? ''], ...task }] as const);
  return { name, tasks: Object.fromEntries(tasks) };
}

/** Which tasks must have succeeded before a task starts, for every task of these definitions; names of tasks must differ. */
export function needsOf(...definitions: readonly Definition[]): Record<string, readonly string[]> {
  const all = definitions.flatMap(({ tasks }) => Object.entries(tasks));
  return Object.fromEntries(all.map(([id, { needs = [] }]) => [id, needs]));
}

export async function publish(cluster: Cluster, server: ServerNode, definition: Definition): Promise<void> {
  const response = await fetch(`${server.url}/api/v1/projects/default/workflows/${definition.name}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${cluster.token}`, 'content-type': 'application/json' },
    body: JSON.stringify(definition),
  });
  assert.ok(response.ok, await response.text());
}

/** A start call made once, without the client's own retries: the id, or why there is none. */
export async function startOnce(
  cluster: Cluster,
  url: string,
  workflow: string,
  options: { readonly params?: object; readonly key?: string; readonly timeoutMs?: number } = {},
): Promise<{ readonly id: string } | { readonly status: number; readonly why: string }> {
  const { params = {}, key, timeoutMs = 30_000 } = options;
  try {
    const response = await fetch(`${url}/api/v1/projects/default/workflows/${workflow}/instances`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${cluster.token}`,
        'content-type': 'application/json',
        ...(key !== undefined && { 'idempotency-key': key }),
      },
      body: JSON.stringify({ params }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const body = (await response.json()) as { id?: string; code?: string };
    if (response.ok && body.id !== undefined) return { id: body.id };
    return { status: response.status, why: body.code ?? '' };
  } catch (error) {
    return { status: 0, why: error instanceof Error ? error.message : String(error) };
  }
}

/** Waits until no instance is alive; false when some still are after the deadline. */
export async function allEnded(cluster: Cluster, deadlineMs: number): Promise<boolean> {
  const ended = async () => ((await cluster.rows('select from live_instance limit 1')).length === 0 ? true : undefined);
  return waitFor('the end of all instances', ended, deadlineMs).catch(() => false);
}
