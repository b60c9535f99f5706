import type { RetryPolicy } from '../definition/model.ts';

/** Losses of one task with its workers that are followed by another attempt, where `onLost` says nothing else. */
export const DEFAULT_LOSSES = 3;

/** A retry's delay is lengthened by up to this share, so that tasks that failed together do not return together. */
const JITTER_SHARE = 0.1;

/**
 * Milliseconds to wait after the given failure of a task.
 *
 * @param failures failures so far, the one at hand included: 1 after the first
 */
export function retryDelayMs(policy: RetryPolicy, task: string, failures: number): number {
  const grown = policy.backoff === 'exponential' ? policy.delayMs * 2 ** Math.min(failures - 1, 40) : policy.delayMs;
  const bounded = Math.min(grown, policy.maxDelayMs);
  return Math.round(bounded * (1 + JITTER_SHARE * unitHash(`${task}/${failures}`)));
}

/** FNV-1a, scaled to [0, 1): the same task and attempt always wait equally long, so a decision can be replayed. */
function unitHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash ^= text.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash >>> 0) / 2 ** 32;
}
