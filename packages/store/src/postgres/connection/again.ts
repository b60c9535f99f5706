import { sleep } from '@keelson/core';
import type { Clock } from '@keelson/core';
import { outcomeOf } from './errors.ts';

const TRIES = 5;

/** The same operation under the same key until its outcome is certain, or the database refuses it. */
export async function again<T>(clock: Clock, operation: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await operation();
    } catch (error) {
      if (outcomeOf(error) === 'application' || attempt === TRIES) throw error;
      await sleep(clock, 50 * 2 ** attempt);
    }
  }
}
