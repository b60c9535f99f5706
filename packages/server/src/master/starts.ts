import { sleep } from '@keelson/core';
import { createBatcher, outcomeOf } from '@keelson/store';
import type { StartedAttempt } from '@keelson/store';
import type { MasterContext } from './context.ts';

const MOST_STARTS = 500;
const RETRY_MS = { first: 20, most: 1000 };

/** Notes when attempts have begun: their timeouts count from it. */
export interface Starts {
  /** Resolves when it is stored, or of no consequence: only then may the worker forget it. */
  note(attempt: StartedAttempt): Promise<void>;
  idle(): Promise<void>;
}

interface Noted {
  readonly attempt: StartedAttempt;
  readonly receivedAt: number;
  readonly stored: () => void;
}

export function createStarts(context: MasterContext): Starts {
  const batcher = createBatcher<Noted>(MOST_STARTS, 1, (batch) => store(context, batch), context.clock);
  return {
    note: (attempt) =>
      new Promise((resolve) => batcher.add({ attempt, receivedAt: context.clock.now(), stored: resolve })),
    idle: batcher.idle,
  };
}

/** Never rejects: what the database refuses is not worth another try, everything else is. */
async function store(context: MasterContext, batch: readonly Noted[]): Promise<void> {
  const { clock, log, wake } = context;
  for (let delay = RETRY_MS.first; ; delay = Math.min(delay * 2, RETRY_MS.most)) {
    try {
      const now = clock.now();
      await context.store.engine.started(
        batch.map(({ attempt, receivedAt }) => ({ ...attempt, startedAgoMs: attempt.startedAgoMs + now - receivedAt })),
      );
      if (batch.some(({ attempt }) => attempt.timeout !== undefined)) wake.due();
      break;
    } catch (error) {
      log.warn({ err: error, attempts: batch.length }, 'starts could not be noted');
      if (outcomeOf(error) === 'application') break;
      await sleep(clock, delay);
    }
  }
  for (const { stored } of batch) stored();
}
