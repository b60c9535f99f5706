import type { Clock } from '@keelson/core';
import type { Workers } from '@keelson/store';
import { createBatcher } from '@keelson/store';

/** Leases of many workers in one statement; never in a batch with reports. */
export interface Renewals {
  /** The lease's length from now, in milliseconds; undefined when it is over for good. Rejects when the database does not answer. */
  renew(incarnationId: string): Promise<number | undefined>;
}

interface Asked {
  readonly id: string;
  readonly resolve: (leaseMs: number | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export function createRenewals(workers: Workers, clock: Clock): Renewals {
  const batcher = createBatcher<Asked>(
    1000,
    1,
    async (batch) => {
      try {
        const renewed = new Map(
          (await workers.renew(batch.map(({ id }) => id))).map(({ id, leaseMs }) => [id, leaseMs]),
        );
        for (const { id, resolve } of batch) resolve(renewed.get(id));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    },
    clock,
  );
  return { renew: (id) => new Promise((resolve, reject) => batcher.add({ id, resolve, reject })) };
}
