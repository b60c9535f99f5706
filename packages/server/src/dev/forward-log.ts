import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Logger } from 'pino';

const LEVELS: ReadonlyMap<unknown, 'debug' | 'info' | 'warn' | 'error'> = new Map([
  [20, 'debug'],
  [30, 'info'],
  [40, 'warn'],
  [50, 'error'],
  [60, 'error'],
] as const);

/** JSON lines of another process's log, into this one's. A line that is none is passed on as it is. */
export function forwardLog(lines: Readable, log: Logger): void {
  createInterface({ input: lines, crlfDelay: Infinity }).on('line', (line) => {
    const event = parse(line);
    if (event === undefined) return log.warn(line);
    const { level, time: _time, msg, ...fields } = event;
    log[LEVELS.get(level) ?? 'warn'](fields, typeof msg === 'string' ? msg : '');
  });
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
