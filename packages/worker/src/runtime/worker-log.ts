export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Takes one line about the worker itself. `fields` never hold a token, a credential or a task's values. */
export type WorkerLog = (level: LogLevel, message: string, fields?: Readonly<Record<string, string | number>>) => void;

/** Plain lines on stderr; debug ones are left out. */
export const stderrLog: WorkerLog = (level, message, fields = {}) => {
  if (level === 'debug') return;
  const rest = Object.entries(fields)
    .map(([key, value]) => ` ${key}=${value}`)
    .join('');
  process.stderr.write(`${new Date().toISOString()} ${level} worker: ${message}${rest}\n`);
};
