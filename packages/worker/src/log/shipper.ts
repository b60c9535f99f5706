import type { Clock } from '@keelson/core';
import { AttemptLog, type LogShared, type SendOutcome } from './attempt-log.ts';
import type { OutputLimits } from './output-limit.ts';

/** Ships the logs of all attempts of one worker incarnation. */
export interface LogShipper {
  open(token: string, secrets: readonly string[]): AttemptLog;
}

export interface LogShipperOptions {
  readonly clock: Clock;
  readonly limits: OutputLimits;
  /** Bytes of log that may wait in memory, of all attempts together. */
  readonly bufferBytes: number;
  /** Must not reject. */
  send(token: string, offset: number, data: Buffer): Promise<SendOutcome>;
}

export const DEFAULT_LOG_BUFFER_BYTES = 64 * 1024 * 1024;

const TICK_MS = 50;

/** One ticker serves all logs, and runs only while one of them has something to ship. */
export function createLogShipper(options: LogShipperOptions): LogShipper {
  const watched = new Set<AttemptLog>();
  let ticking = false;

  function tick(): void {
    ticking = watched.size > 0;
    if (!ticking) return;
    const now = options.clock.now();
    for (const log of watched) log.ship(now);
    options.clock.after(TICK_MS, tick);
  }

  const shared: LogShared = {
    clock: options.clock,
    limits: options.limits,
    budget: { used: 0, most: options.bufferBytes },
    send: options.send,
    watch(log) {
      watched.add(log);
      if (ticking) return;
      ticking = true;
      options.clock.after(TICK_MS, tick);
    },
    unwatch: (log) => void watched.delete(log),
  };
  return { open: (token, secrets) => new AttemptLog(shared, token, secrets) };
}
