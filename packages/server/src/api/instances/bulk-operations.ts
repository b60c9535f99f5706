import type { BulkItem, BulkRequest, InstanceOperation } from '@keelson/protocol';
import { ApiError, bulkRequest, bulkResponse } from '@keelson/protocol';
import type { InstanceSummary, Store } from '@keelson/store';
import { callerName, requirePermission } from '../http/authenticate.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { absentInstance } from './instances.ts';
import { operate, wouldAnswer } from './operate.ts';
import type { Permission } from '../http/permissions.ts';

/** What each operation needs, alone as in bulk. */
const PERMISSIONS: Readonly<Record<InstanceOperation, Permission>> = {
  pause: 'instances:pause',
  resume: 'instances:pause',
  stop: 'instances:stop',
  rerun: 'instances:rerun',
  recover: 'instances:rerun',
  skip: 'tasks:skip',
  'force-success': 'tasks:force-success',
  priority: 'instances:priority',
};
/** As many of one request are under way at the same time. */
const WIDTH = 8;

/** One operation on many instances. Not a transaction: each is asked and answered for itself. */
export function bulkOperationRoutes(api: Api, { store, wake, log }: ApiDeps): void {
  api.post(
    '/api/v1/instances/operations',
    {
      config: { permission: 'instances:bulk' },
      schema: {
        summary: 'Ask one operation of all instances that a filter finds, or say what would be answered',
        body: bulkRequest,
        response: { 200: bulkResponse },
      },
    },
    async (request) => {
      const { body } = request;
      const { operation, dryRun } = body;
      requirePermission(request, PERMISSIONS[operation]);
      const by = callerName(request);
      const { found, missing, next } = await select(store, body);
      const answer = async (id: string): Promise<Pick<BulkItem, 'outcome' | 'code' | 'message'>> =>
        answerOf(dryRun ? wouldAnswer(store, id, body) : operate(store, id, body, by));
      const answered = await inOrder(found, WIDTH, async (instance) => ({
        ...described(instance),
        ...(await answer(instance.id)),
      }));
      const items: BulkItem[] = [...answered, ...missing];
      if (!dryRun) {
        wake.command();
        if (items.some(({ outcome }) => outcome === 'requested')) wake.followup('admission');
        const requested = items.filter(({ outcome }) => outcome === 'requested').length;
        log.info({ operation, by, filter: body.filter, instances: items.length, requested }, 'an operation on many');
      }
      return { operation, dryRun, items, next };
    },
  );
}

interface Selected {
  readonly found: readonly InstanceSummary[];
  /** Ids that were named and are none. */
  readonly missing: readonly BulkItem[];
  readonly next: string | null;
}

async function select(store: Store, { filter, limit, cursor }: BulkRequest): Promise<Selected> {
  if (Object.values(filter).every((value) => value === undefined))
    throw new ApiError('empty-filter', 'filter: an empty one would mean every instance that there ever was');
  const { items, next } = await store.instances.list(filter, { limit, cursor });
  const missing: BulkItem[] = [];
  // Of a later page they have been told with the first.
  for (const id of cursor === undefined ? new Set(filter.ids) : []) {
    if (items.some((item) => item.id === id) || (await store.instances.workflowOf(id)) !== undefined) continue;
    const { code, message } = await absentInstance(store, id);
    missing.push({ id, project: null, workflow: null, runTime: null, state: null, outcome: 'refused', code, message });
  }
  return { found: items, missing, next };
}

function described({ id, project, workflow, runTime, state }: InstanceSummary) {
  return { id, project, workflow, runTime, state };
}

async function answerOf(asking: ReturnType<typeof operate>): Promise<Pick<BulkItem, 'outcome' | 'code' | 'message'>> {
  try {
    const { outcome } = await asking;
    return { outcome, code: null, message: null };
  } catch (error) {
    if (!(error instanceof ApiError) || error.status >= 500) throw error;
    return { outcome: 'refused', code: error.code, message: error.message };
  }
}

/** The oldest first, as they were started; the answers stand in the order of the items. */
async function inOrder<Item, Result>(
  items: readonly Item[],
  width: number,
  action: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = items.length - 1;
  const lane = async (): Promise<void> => {
    for (let at = next--; at >= 0; at = next--) {
      const item = items[at];
      if (item !== undefined) results[at] = await action(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  return results;
}
