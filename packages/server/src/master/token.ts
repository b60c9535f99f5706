import type { Random } from '@keelson/core';
import type { BoundAttempt } from '@keelson/store';

/** What a token says. It is proof only together with the `active` row that has the same nonce. */
export interface TokenParts {
  readonly instanceId: string;
  readonly task: string;
  readonly generation: number;
  readonly attempt: number;
  readonly attemptId: string;
  readonly incarnationId: string;
  readonly nonce: string;
}

/** Ids may recur after a restore of the database; a nonce does not. */
export function newNonce(random: Random): string {
  return random.secret(9);
}

export function tokenOf({
  instanceId,
  task,
  generation,
  attempt,
  attemptId,
  incarnationId,
  nonce,
}: BoundAttempt): string {
  return `${instanceId}.${task}.${generation}.${attempt}.${attemptId}.${incarnationId}.${nonce}`;
}

/** Undefined when the text has not the form of a token. */
export function parseToken(token: string): TokenParts | undefined {
  const parts = token.split('.');
  const [instanceId, task, generation, attempt, attemptId, incarnationId, nonce] = parts;
  if (parts.length !== 7 || nonce === undefined || incarnationId === undefined || task === undefined) return undefined;
  const numbers = [instanceId, generation, attempt, attemptId, incarnationId];
  if (!numbers.every((part) => part !== undefined && /^[1-9][0-9]{0,17}$/.test(part))) return undefined;
  return {
    instanceId: instanceId ?? '',
    task,
    generation: Number(generation),
    attempt: Number(attempt),
    attemptId: attemptId ?? '',
    incarnationId,
    nonce,
  };
}
