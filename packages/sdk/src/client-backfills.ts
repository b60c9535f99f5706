import type {
  Backfill,
  BackfillDetail,
  BackfillOperationResponse,
  BackfillPreview,
  BackfillRequest,
  BackfillRun,
  Page,
} from '@keelson/protocol';
import type { Send } from './client-transport.ts';
import { readJson } from './client-transport.ts';

export interface BackfillFilter {
  readonly project?: string | undefined;
  readonly workflow?: string | undefined;
  readonly state?: Backfill['state'] | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface BackfillRunFilter {
  readonly state?: BackfillRun['state'] | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface BackfillOptions extends BackfillRequest {
  /** Default: a random one. The same key and body again make nothing new. */
  readonly idempotencyKey?: string | undefined;
}

/** Calls about backfills: a workflow for dates that are past. */
export function backfillCalls(send: Send) {
  const of = (project: string, workflow: string) =>
    `api/v1/projects/${encodeURIComponent(project)}/workflows/${encodeURIComponent(workflow)}/backfills`;
  const at = (id: string) => `api/v1/backfills/${encodeURIComponent(id)}`;
  const ask = async (id: string, operation: string, json: object = {}): Promise<BackfillOperationResponse> =>
    readJson(await send('POST', `${at(id)}/${operation}`, { json, repeatable: true }));
  return {
    /** What it would run, and what it would leave out. */
    previewBackfill: async (project: string, workflow: string, json: BackfillRequest): Promise<BackfillPreview> =>
      readJson(await send('POST', `${of(project, workflow)}/preview`, { json, repeatable: true })),
    /** Safe to lose the answer of: the call is repeated under its key until its outcome is known. */
    createBackfill: async (
      project: string,
      workflow: string,
      { idempotencyKey = crypto.randomUUID(), ...json }: BackfillOptions,
    ): Promise<BackfillDetail> =>
      readJson(
        await send('POST', of(project, workflow), {
          json,
          headers: { 'idempotency-key': idempotencyKey },
          repeatable: true,
        }),
      ),
    /** Newest first. */
    listBackfills: async (filter: BackfillFilter = {}): Promise<Page<Backfill>> =>
      readJson(await send('GET', 'api/v1/backfills', { query: { ...filter } })),
    getBackfill: async (id: string): Promise<BackfillDetail> => readJson(await send('GET', at(id))),
    /** In their order. */
    listBackfillRuns: async (id: string, filter: BackfillRunFilter = {}): Promise<Page<BackfillRun>> =>
      readJson(await send('GET', `${at(id)}/runs`, { query: { ...filter } })),
    /** Those under way go on. */
    pauseBackfill: (id: string) => ask(id, 'pause'),
    resumeBackfill: (id: string) => ask(id, 'resume'),
    /** Leaves out what was not started; with `stop` it also stops what is under way. */
    cancelBackfill: (id: string, options: { readonly stop?: boolean } = {}) => ask(id, 'cancel', options),
  };
}
