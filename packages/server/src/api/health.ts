import { z } from 'zod';
import { ApiError } from '@keelson/protocol';
import type { Api, ApiDeps } from './deps.ts';

const answer = z.object({ status: z.literal('ok') });
/** One question to the database serves all who ask within this time: anyone may ask. */
const KEEP_MS = 500;

/** The only routes that answer without a token; they tell nothing but their status. */
export function healthRoutes(
  api: Api,
  { store, log, draining = () => false, checkReady = () => store.ping() }: ApiDeps,
): void {
  let last: { readonly at: number; readonly ready: Promise<void> } | undefined;
  const ready = (): Promise<void> => {
    if (last === undefined || performance.now() - last.at > KEEP_MS)
      last = { at: performance.now(), ready: checkReady() };
    return last.ready;
  };
  api.get(
    '/healthz',
    { config: { permission: 'public' }, schema: { summary: 'The process answers', response: { 200: answer } } },
    async () => ({ status: 'ok' as const }),
  );
  api.get(
    '/readyz',
    {
      config: { permission: 'public' },
      schema: { summary: 'The database answers and its schema is the right one', response: { 200: answer } },
    },
    async () => {
      if (draining()) throw new ApiError('not-ready', 'the server is draining: it is about to end');
      await ready().catch((error: unknown) => {
        log.warn({ err: error }, 'not ready');
        throw new ApiError(
          'not-ready',
          'the database does not answer, or its schema is not the one of this release; the log says more',
        );
      });
      return { status: 'ok' as const };
    },
  );
}
