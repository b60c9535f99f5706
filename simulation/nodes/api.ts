import type { MemoryStore } from '../../packages/store/src/memory/open.ts';
import type { BackfillDraft, BackfillOperation, GenerationRequest, LiveOperation } from '@keelson/store';
import type { Request } from '../network/network.ts';

export interface StartCall {
  readonly workflowId: string;
  readonly versionId: string;
  readonly taskCount: number;
  /** Names the wish behind the call: all tries of it have the same. */
  readonly wish: string;
  readonly key: string | undefined;
}

/** What the REST API does for starts, operations and backfills, without the checks of what people send. */
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
  if (path === 'api/backfill') {
    const outcome = await store.backfills.create(JSON.parse(body) as BackfillDraft);
    store.signals.send('followup', 'backfill');
    return outcome;
  }
  if (path === 'api/steer') {
    const { backfillId, operation } = JSON.parse(body) as { backfillId: string; operation: BackfillOperation };
    const outcome = await store.backfills.operate(backfillId, operation, 'client');
    store.signals.send('followup', 'backfill');
    store.signals.send('command');
    return outcome;
  }
  if (path === 'api/begin') {
    const outcome = await store.operations.beginGeneration(JSON.parse(body) as GenerationRequest);
    store.signals.send('command');
    store.signals.send('followup', 'admission');
    return outcome;
  }
  const { instanceId, operation } = JSON.parse(body) as { instanceId: string; operation: LiveOperation };
  const outcome = await store.operations.operate(instanceId, operation, 'client');
  store.signals.send('command');
  return outcome;
}
