import { sqlError } from './sql-error.ts';

/** Reads a parameter as the type that the statement casts it to. */
export type Read<T> = (value: unknown) => T;

const BIGINT = /^-?[0-9]{1,19}$/;

/** A bigint, as text. */
export const id: Read<string> = (value) => {
  const text = String(value);
  if (!BIGINT.test(text)) throw sqlError('22P02', `invalid input syntax for type bigint: "${text}"`);
  if (BigInt.asIntN(64, BigInt(text)) !== BigInt(text))
    throw sqlError('22003', `value "${text}" is out of range for type bigint`);
  return text;
};

export const text: Read<string> = (value) => {
  if (typeof value !== 'string') throw sqlError('23502', 'null value violates not-null constraint');
  if (value.includes('\0')) throw sqlError('22021', 'invalid byte sequence for encoding "UTF8": 0x00');
  return value;
};

/** A number of any SQL type; the columns here hold none that JavaScript cannot. */
export const number: Read<number> = (value) => {
  const read = typeof value === 'string' ? Number(value) : value;
  if (typeof read !== 'number' || Number.isNaN(read))
    throw sqlError('22P02', `invalid input for a number: ${String(read)}`);
  return read;
};

export const flag: Read<boolean> = (value) => value === true;

/** A timestamptz from RFC 3339 text, in milliseconds. */
export const time: Read<number> = (value) => {
  const read = Date.parse(String(value));
  if (Number.isNaN(read))
    throw sqlError('22007', `invalid input syntax for type timestamp with time zone: "${String(value)}"`);
  return read;
};

/** A jsonb from its text; null stays null. Frozen, because it is handed out again and again. */
export const json: Read<unknown> = (value) => {
  if (value === null || value === undefined) return null;
  const read = text(value);
  if (/(?<!\\)(?:\\\\)*\\u0000/.test(read)) throw sqlError('22P05', 'unsupported Unicode escape sequence');
  return freeze(JSON.parse(read));
};

export function orNull<T>(read: Read<T>): Read<T | null> {
  return (value) => (value === null || value === undefined ? null : read(value));
}

export function list<T>(read: Read<T>): Read<T[]> {
  return (value) => {
    if (!Array.isArray(value)) throw sqlError('22P02', 'malformed array literal');
    return value.map(read);
  };
}

export const idList = list(id);
export const textList = list(text);

/** Rows from columns, as `unnest` makes them. The columns are all equally long. */
export function unnest<Row extends object>(
  values: readonly unknown[],
  columns: { readonly [Name in keyof Row]: Read<Row[Name]> },
): Row[] {
  const names = Object.keys(columns) as (keyof Row)[];
  const read = names.map((name, at) => list<Row[keyof Row]>(columns[name])(values[at]));
  const length = read[0]?.length ?? 0;
  return Array.from({ length }, (_, row) => {
    const made = {} as Row;
    for (const [at, name] of names.entries()) made[name] = read[at]?.[row] as Row[keyof Row];
    return made;
  });
}

/** Orders bigints that are held as text. */
export function byNumber(one: string, other: string): number {
  return one.length - other.length || (one < other ? -1 : one > other ? 1 : 0);
}

export const byId = (one: { readonly id: string }, other: { readonly id: string }): number =>
  byNumber(one.id, other.id);

export const orNullDate = (ms: number | null): Date | null => (ms === null ? null : new Date(ms));

function freeze(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  for (const inner of Object.values(value)) freeze(inner);
  return Object.freeze(value);
}
