import type { Logger } from 'pino';
import type { WorkerLog } from '../../packages/worker/src/runtime/worker-log.ts';
import type { Trace } from '../trace/trace.ts';

/** What a server logs becomes lines of the trace. */
export function tracedLog(trace: Trace, node: string): Logger {
  const write =
    (level: string) =>
    (fields: unknown, message?: string): void =>
      trace.note(node, `${level} ${typeof fields === 'string' ? fields : `${message ?? ''}${errorText(fields)}`}`);
  const log = {
    debug: () => undefined,
    trace: () => undefined,
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  };
  return log as unknown as Logger;
}

export function tracedWorkerLog(trace: Trace, node: string): WorkerLog {
  return (level, message) => {
    if (level !== 'debug') trace.note(node, `${level} ${message}`);
  };
}

function errorText(fields: unknown): string {
  if (typeof fields !== 'object' || fields === null || !('err' in fields)) return '';
  return fields.err instanceof Error ? `: ${fields.err.message}` : '';
}
