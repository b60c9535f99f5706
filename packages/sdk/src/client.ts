import type { Page } from '@keelson/protocol';
import { administrationCalls } from './client-administration.ts';
import { backfillCalls } from './client-backfills.ts';
import { definitionCalls } from './client-definitions.ts';
import { instanceCalls } from './client-instances.ts';
import { operationCalls } from './client-operations.ts';
import { scheduleCalls } from './client-schedules.ts';
import type { ClientOptions } from './client-transport.ts';
import { createTransport } from './client-transport.ts';

export type { ClientOptions } from './client-transport.ts';
export type { InstanceFilter, LogPart, LogRange, StartOptions, Started } from './client-instances.ts';
export type { BackfillFilter, BackfillOptions, BackfillRunFilter } from './client-backfills.ts';
export type { StreamOptions } from './client-streams.ts';
export { KeelsonApiError, KeelsonConnectionError } from './client-errors.ts';

/** Everything that the REST API can do, typed. Refusals are thrown as KeelsonApiError, missing answers as KeelsonConnectionError. */
export type KeelsonClient = ReturnType<typeof createClient>;

/** Makes a client; nothing is sent yet. Throws a TypeError for a URL that is none. */
export function createClient(options: ClientOptions) {
  const send = createTransport(options);
  return {
    url: options.url,
    ...definitionCalls(send),
    ...instanceCalls(send),
    ...operationCalls(send),
    ...backfillCalls(send),
    ...scheduleCalls(send),
    ...administrationCalls(send),
  };
}

/** All items of a list, page by page: `allItems((cursor) => client.listWorkflows('demo', { cursor }))`. */
export async function* allItems<Item>(
  page: (cursor: string | undefined) => Promise<Page<Item>>,
): AsyncGenerator<Item, void, undefined> {
  let cursor: string | undefined;
  do {
    const { items, next } = await page(cursor);
    yield* items;
    cursor = next ?? undefined;
  } while (cursor !== undefined);
}
