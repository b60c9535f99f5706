import type pg from 'pg';

/** A pool, or one of its connections inside a transaction. */
export type Queryable = Pick<pg.Pool, 'query'>;

/** A text that can be compared with a bigint id. */
export function isId(text: string): boolean {
  return /^[1-9][0-9]{0,17}$/.test(text);
}

export function iso(time: Date): string {
  return time.toISOString();
}

export function isoOrNull(time: Date | null): string | null {
  return time === null ? null : time.toISOString();
}
