import { createHash } from 'node:crypto';
import { canonicalJson } from '@keelson/core';
import { ApiError } from '@keelson/protocol';
import type { UsedKey } from '@keelson/store';

/** Of the request as it was sent: what it leaves open (the version, the time) does not make it another one. */
export function bodyHash(body: Parameters<typeof canonicalJson>[0]): string {
  return createHash('sha256').update(canonicalJson(body)).digest('hex');
}

/**
 * Plans what a call asks for. A call that repeats another one under its key may ask for what cannot be any more (its workflow has changed since,
 * or is gone), but was done: then the answer is the id of what the first one has begun.
 *
 * @param what an instance or a backfill
 * @param used what the key has begun, if there is a key and it has
 */
export async function planOrRepeat<Plan>(
  what: string,
  plan: () => Promise<Plan>,
  used: () => Promise<UsedKey | undefined>,
  hash: string,
): Promise<{ readonly plan: Plan } | { readonly before: string }> {
  try {
    return { plan: await plan() };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const before = await used();
    if (before === undefined) throw error;
    if (before.bodyHash !== hash) throw keyConflict(what, before.id);
    return { before: before.id };
  }
}

export const keyConflict = (what: string, id: string): ApiError =>
  new ApiError('idempotency-key-conflict', `the key has begun ${what} ${id} with another body`);
