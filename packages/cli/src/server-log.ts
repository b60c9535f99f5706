import { Writable } from 'node:stream';
import type { Logger } from 'pino';
import { pino } from 'pino';
import type { OutputStream, Paint } from './terminal/terminal.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevelName = (typeof LOG_LEVELS)[number];

/** One JSON line per event, for whatever collects logs. */
export function jsonLog(stream: OutputStream, level: LogLevelName): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
}

/** Lines for a person. */
export function readableLog(stream: OutputStream, level: LogLevelName, paint: Paint): Logger {
  const lines = new Writable({
    decodeStrings: false,
    write(line: string, _encoding, done) {
      stream.write(`${readableLine(line, paint)}\n`);
      done();
    },
  });
  return pino({ level, base: null }, lines);
}

const NAMES: ReadonlyMap<number, { readonly name: string; readonly style: 'dim' | 'cyan' | 'yellow' | 'red' }> =
  new Map([
    [20, { name: 'debug', style: 'dim' }],
    [30, { name: 'info', style: 'cyan' }],
    [40, { name: 'warn', style: 'yellow' }],
    [50, { name: 'error', style: 'red' }],
    [60, { name: 'fatal', style: 'red' }],
  ]);

/** `08:22:16 warn  master: words (field=value)`; an error's message stands behind. */
export function readableLine(line: string, paint: Paint): string {
  let event: Record<string, unknown>;
  try {
    event = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line.trimEnd();
  }
  const { level, time, msg, role, part, err, ...rest } = event;
  const { name, style } = NAMES.get(Number(level)) ?? { name: String(level), style: 'dim' };
  const clock = new Date(Number(time)).toTimeString().slice(0, 8);
  const source = typeof role === 'string' ? `${role}: ` : typeof part === 'string' ? `${part}: ` : '';
  const reason = typeof err === 'object' && err !== null && 'message' in err ? `: ${String(err.message)}` : '';
  const fields = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const tail = fields.length === 0 ? '' : paint('dim', ` (${fields.join(' ')})`);
  return `${paint('dim', clock)} ${paint(style, name.padEnd(5))} ${source}${typeof msg === 'string' ? msg : ''}${reason}${tail}`;
}
