import type {
  CommandError,
  HistoryEntry,
  Instance,
  InstanceDetail,
  LOG_HEADERS,
  Page,
  StartRequest,
  StartResponse,
  TaskInstanceDetail,
  Why,
} from '@keelson/protocol';
import type { FollowOptions, StreamOptions } from './client-streams.ts';
import { followLog, watchInstance } from './client-streams.ts';
import type { Send } from './client-transport.ts';
import { readJson } from './client-transport.ts';

export interface InstanceFilter {
  readonly project?: string | undefined;
  readonly workflow?: string | undefined;
  readonly state?: Instance['state'] | undefined;
  readonly trigger?: Instance['trigger'] | undefined;
  /** Ranges take their first moment and not their last one. */
  readonly createdFrom?: string | undefined;
  readonly createdTo?: string | undefined;
  readonly runFrom?: string | undefined;
  readonly runTo?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface StartOptions extends StartRequest {
  /** Default: a random one. The same key and body again start nothing new. */
  readonly idempotencyKey?: string;
}

/** `repeated`: the key had started this instance before. */
export type Started = StartResponse & { readonly repeated: boolean; readonly idempotencyKey: string };

export interface LogRange {
  readonly attempt?: number | undefined;
  /** Of a broadcast: the subtask of this worker. */
  readonly worker?: string | undefined;
  readonly from?: number | undefined;
  readonly limit?: number | undefined;
  readonly tail?: number | undefined;
}

/** A part of a log: octets as the task wrote them, and where to go on. */
export interface LogPart {
  readonly bytes: Uint8Array;
  readonly attempt: number;
  readonly from: number;
  readonly next: number;
  readonly complete: boolean;
}

const HEADERS: typeof LOG_HEADERS = {
  attempt: 'keelson-log-attempt',
  from: 'keelson-log-from',
  next: 'keelson-log-next',
  complete: 'keelson-log-complete',
};

/** Calls about workflow instances and their tasks. */
export function instanceCalls(send: Send) {
  const at = (id: string) => `api/v1/instances/${encodeURIComponent(id)}`;
  const taskAt = (id: string) => `api/v1/task-instances/${encodeURIComponent(id)}`;
  const get = async <Body>(path: string, query?: object) =>
    readJson<Body>(await send('GET', path, query && { query: { ...query } }));
  return {
    /** Starts an instance. Safe to lose the answer of: the call is repeated under its key until its outcome is known. */
    async start(
      project: string,
      workflow: string,
      { idempotencyKey = crypto.randomUUID(), ...body }: StartOptions = {},
    ): Promise<Started> {
      const path = `api/v1/projects/${encodeURIComponent(project)}/workflows/${encodeURIComponent(workflow)}/instances`;
      const response = await send('POST', path, {
        json: body,
        headers: { 'idempotency-key': idempotencyKey },
        repeatable: true,
      });
      return { ...(await readJson<StartResponse>(response)), repeated: response.status === 200, idempotencyKey };
    },
    listInstances: (filter: InstanceFilter = {}) => get<Page<Instance>>('api/v1/instances', filter),
    getInstance: (id: string) => get<InstanceDetail>(at(id)),
    getTask: (instanceId: string, task: string) =>
      get<TaskInstanceDetail>(`${at(instanceId)}/tasks/${encodeURIComponent(task)}`),
    getTaskInstance: (id: string) => get<TaskInstanceDetail>(taskAt(id)),
    /** `asked`: only what somebody asked for. */
    getHistory: (id: string, query: { limit?: number; cursor?: string; asked?: boolean } = {}) =>
      get<Page<HistoryEntry>>(`${at(id)}/history`, query),
    getWhy: (id: string) => get<Why>(`${at(id)}/why`),
    getCommandErrors: (id: string) => get<{ items: CommandError[] }>(`${at(id)}/command-errors`),
    watchInstance: (id: string, options?: StreamOptions) => watchInstance(send, id, options),
    /** Part of a log; without `from` or `tail`, its beginning. */
    async readLog(id: string, range: LogRange = {}): Promise<LogPart> {
      const response = await send('GET', `${taskAt(id)}/log`, { query: { ...range } });
      const bytes = new Uint8Array(await response.arrayBuffer());
      const figure = (name: string) => Number(response.headers.get(name) ?? 0);
      return {
        bytes,
        attempt: figure(HEADERS.attempt),
        from: figure(HEADERS.from),
        next: figure(HEADERS.next),
        complete: response.headers.get(HEADERS.complete) === 'true',
      };
    },
    followLog: (id: string, options?: FollowOptions) => followLog(send, id, options),
    /** The octets of one of a task instance's artifacts, by its path, as they come. */
    async readArtifact(id: string, path: string): Promise<ReadableStream<Uint8Array>> {
      const response = await send(
        'GET',
        `${taskAt(id)}/artifacts/${path.split('/').map(encodeURIComponent).join('/')}`,
      );
      return response.body ?? new Blob([]).stream();
    },
  };
}
