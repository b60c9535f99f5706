import type { Line } from './append.ts';

/** A line of the ledger. `place` is its line number: the order in which things happened, without any clock. */
export interface Entry extends Line {
  readonly place: number;
  /** Seconds of the machine's monotonic clock. */
  readonly uptime: number;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
}

const FIELDS = 10;
const isKind = (text: string | undefined): text is Line['kind'] => text === 'S' || text === 'B' || text === 'E';

/**
 * @param before how many lines precede the text
 * @throws when a line is not one that a task writes: then the ledger proves nothing
 */
export function parseLedger(text: string, before = 0): Entry[] {
  const lines = text.split('\n');
  // What follows the last line end was being written when the reader came.
  lines.pop();
  return lines.map((line, index) => {
    const place = before + index;
    const fields = line.split(' ');
    const [kind, instance = '', task = '', attempt, token = '', worker = '', pid, uptime, wall, code] = fields;
    if (fields.length !== FIELDS || !isKind(kind)) throw new Error(`line ${place + 1} of the ledger is none: ${line}`);
    return {
      place,
      kind,
      instance,
      task,
      attempt: Number(attempt),
      token,
      worker,
      pid: Number(pid),
      uptime: Number(uptime),
      wallMs: Number(wall) / 1000,
      code: code === '-' ? undefined : Number(code),
    };
  });
}
