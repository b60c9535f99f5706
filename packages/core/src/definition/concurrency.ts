import type { ConcurrencyPolicy, ConcurrencyRule } from './model.ts';

/** What is written of it, with defaults left out: a hash does not depend on whether they are named. */
export function normaliseConcurrency(written: {
  readonly policy?: ConcurrencyPolicy | undefined;
  readonly limit?: number | undefined;
}): ConcurrencyRule {
  const { policy = 'parallel', limit } = written;
  return { policy, ...(limit !== undefined && limit !== slotsOf({ policy }) && { limit }) };
}

/** How many instances may go at once; null: as many as come. */
export function slotsOf({ policy, limit }: ConcurrencyRule): number | null {
  return limit ?? (policy === 'parallel' ? null : 1);
}
