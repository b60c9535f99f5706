import type { MemoryStore } from '../../packages/store/src/memory/open.ts';
import type { Request } from '../network/network.ts';

export interface StartCall {
  readonly workflowId: string;
  readonly versionId: string;
  readonly taskCount: number;
  /** Names the wish behind the call: all tries of it have the same. */
  readonly wish: string;
  readonly key: string | undefined;
}

/** What the REST API does for a start and a stop, without the checks of what people send. */
export async function answerApi(store: MemoryStore, { path, body }: Request): Promise<unknown> {
  if (path === 'api/start') {
    const { workflowId, versionId, taskCount, wish, key } = JSON.parse(body) as StartCall;
    const outcome = await store.starts.start({
      workflowId,
      versionId,
      taskCount,
      params: {},
      runTime: '2026-01-02T03:04:05Z',
      priority: 0,
      createdBy: wish,
      ...(key === undefined ? {} : { idempotency: { key, bodyHash: wish } }),
    });
    store.signals.send('command');
    return outcome;
  }
  const { instanceId } = JSON.parse(body) as { instanceId: string };
  const outcome = await store.operations.operate(instanceId, { type: 'stop' }, 'client');
  if (outcome.kind === 'requested') store.signals.send('command');
  return outcome;
}
