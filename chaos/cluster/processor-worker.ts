/** A worker of the campaign that runs processors in its own process; they write into the ledger as the shell tasks do. */
import { setTimeout as delay } from 'node:timers/promises';
import { runWorker } from '@keelson/sdk/worker';
import type { ProcessorContext } from '@keelson/tasks';
import { appendEntry } from '../ledger/append.ts';

const BEAT_MS = 100;

interface Work {
  readonly ledger: string;
  readonly ms: number;
}

const name = process.env['CHAOS_WORKER'] ?? '';

function workOf(args: unknown): Work {
  const { ledger, ms } = (typeof args === 'object' && args !== null ? args : {}) as Partial<Work>;
  if (typeof ledger !== 'string' || typeof ms !== 'number') throw new TypeError('args must be { ledger, ms }');
  return { ledger, ms };
}

async function work({ args, instanceId, task, attempt, signal }: ProcessorContext): Promise<void> {
  const { ledger, ms } = workOf(args);
  const say = (kind: 'S' | 'B' | 'E', code?: number): void =>
    appendEntry(ledger, {
      kind,
      instance: instanceId,
      task,
      attempt,
      token: '-',
      worker: name,
      pid: process.pid,
      code,
    });
  say('S');
  for (const until = performance.now() + ms; performance.now() < until;) {
    await delay(Math.min(BEAT_MS, Math.max(1, until - performance.now())));
    if (signal.aborted) throw new Error('told to end');
    say('B');
  }
  say('E', 0);
}

await runWorker({
  server: (process.env['CHAOS_SERVERS'] ?? '').split(' '),
  name,
  dataDir: process.env['CHAOS_DATA'] ?? '',
  slots: Number(process.env['CHAOS_SLOTS']),
  drainMs: Number(process.env['CHAOS_DRAIN_MS']),
  processors: { work },
});
