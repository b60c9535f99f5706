import { appendFileSync } from 'node:fs';

/** A line to be: what a task says of itself, outside of the system. */
export interface Line {
  /** Start, beat (it still runs), end. */
  readonly kind: 'S' | 'B' | 'E';
  readonly instance: string;
  readonly task: string;
  readonly attempt: number;
  /** The fencing token; `-` where the task does not see it. */
  readonly token: string;
  readonly worker: string;
  readonly pid: number;
  /** Of an end. */
  readonly code?: number | undefined;
}

/**
 * One write to a file opened for appending: the order of the lines in the file is the order in which they were written, whoever wrote
 * them. Two clocks go along: the machine's uptime in seconds, and the wall's microseconds.
 */
export function appendEntry(file: string, { kind, instance, task, attempt, token, worker, pid, code }: Line): void {
  const uptime = (Number(process.hrtime.bigint() / 10_000_000n) / 100).toFixed(2);
  const wall = (performance.timeOrigin + performance.now()) * 1000;
  const fields = [kind, instance, task, attempt, token, worker, pid, uptime, wall.toFixed(0), code ?? '-'];
  appendFileSync(file, `${fields.join(' ')}\n`);
}
