import type {
  BulkInput,
  BulkResponse,
  ForceSuccessRequest,
  InstanceGeneration,
  OperationResponse,
  Page,
  RecoverRequest,
  RerunRequest,
} from '@keelson/protocol';
import type { Send } from './client-transport.ts';
import { readJson } from './client-transport.ts';

/**
 * What an operator asks of instances and tasks. All of it is idempotent: asking again is answered `already`. Of what begins a new generation
 * that holds for a request that names the `generation` it follows; without it an answer that is lost is not asked for again.
 */
export function operationCalls(send: Send) {
  const at = (id: string) => `api/v1/instances/${encodeURIComponent(id)}`;
  const taskAt = (id: string, task: string) => `${at(id)}/tasks/${encodeURIComponent(task)}`;
  const ask = async (path: string, json: object, repeatable: boolean): Promise<OperationResponse> =>
    readJson(await send('POST', path, { json, repeatable }));
  const begin = (path: string, request: { readonly generation?: number | undefined }) =>
    ask(path, request, request.generation !== undefined);
  return {
    /** Running tasks finish, nothing new starts; `paused` when none runs any more. */
    pauseInstance: (id: string) => ask(`${at(id)}/pause`, {}, true),
    resumeInstance: (id: string) => ask(`${at(id)}/resume`, {}, true),
    /** Asks for the end of what runs; the instance is `stopped` some time later. */
    stopInstance: (id: string) => ask(`${at(id)}/stop`, {}, true),
    /** Begins an ended instance again: all of it, `from` a task on, or `only` one task. */
    rerunInstance: (id: string, request: RerunRequest = {}) => begin(`${at(id)}/rerun`, request),
    /** Begins an ended instance again with what failed or never ran. */
    recoverInstance: (id: string, request: RecoverRequest = {}) => begin(`${at(id)}/recover`, request),
    /** From -100 to 100; higher starts first. */
    setPriority: (id: string, priority: number) => ask(`${at(id)}/priority`, { priority }, true),
    /** A task that has not started is skipped; what comes after it goes on as if it had succeeded. */
    skipTask: (id: string, task: string) => ask(`${taskAt(id, task)}/skip`, {}, true),
    /** A failed task of an ended instance counts as succeeded, and what waited for it runs. */
    forceTaskSuccess: (id: string, task: string, request: ForceSuccessRequest = {}) =>
      begin(`${taskAt(id, task)}/force-success`, request),
    /** Oldest first. */
    listGenerations: async (id: string): Promise<Page<InstanceGeneration>> =>
      readJson(await send('GET', `${at(id)}/generations`)),
    /** One operation on the instances that a filter finds, each answered for itself; `next` is the `cursor` to go on with. */
    operateInstances: async (request: BulkInput): Promise<BulkResponse> =>
      readJson(await send('POST', 'api/v1/instances/operations', { json: request, repeatable: isRepeatable(request) })),
  };
}

/** What begins a generation would, asked twice, begin another one if the first has ended meanwhile. */
function isRepeatable({ operation, dryRun }: BulkInput): boolean {
  return dryRun === true || !['rerun', 'recover', 'force-success'].includes(operation);
}
