/** Reads PostgreSQL's text format by type. The driver's own readers make dates of the worker's time zone and lose digits. */
import type { JsonValue } from '@keelson/core';
import pg from 'pg';
import { exactNumber, isoTime } from './values.ts';

type Reader = (text: string) => JsonValue;

const bytes: Reader = (text) => (text.startsWith('\\x') ? Buffer.from(text.slice(2), 'hex').toString('base64') : text);
const float: Reader = (text) => (Number.isFinite(Number(text)) ? Number(text) : text);
const json: Reader = (text) => JSON.parse(text) as JsonValue;
const asIs: Reader = (text) => text;

/** Object ids of the built-in types, each with that of its array: fixed for ever in PostgreSQL's catalogue. */
const READERS: readonly (readonly [type: number, array: number, read: Reader])[] = [
  [16, 1000, (text) => text === 't'],
  [17, 1001, bytes],
  [20, 1016, exactNumber],
  [21, 1005, exactNumber],
  [23, 1007, exactNumber],
  [26, 1028, exactNumber],
  [114, 199, json],
  [700, 1021, float],
  [701, 1022, float],
  [1114, 1115, isoTime],
  [1184, 1185, isoTime],
  [1700, 1231, exactNumber],
  [3802, 3807, json],
  // Text, names, dates, times, uuids and intervals stay text, but their arrays are lists.
  ...(
    [
      [18, 1002],
      [19, 1003],
      [25, 1009],
      [1042, 1014],
      [1043, 1015],
      [1082, 1182],
      [1083, 1183],
      [1186, 1187],
      [2950, 2951],
    ] as const
  ).map(([type, array]) => [type, array, asIs] as const),
];

type Nested = string | null | Nested[];
/** The driver's reader for text[]; its type declarations do not know the number. */
const splitArray = (pg.types.getTypeParser as (oid: number) => unknown)(1009) as (text: string) => Nested;

const byOid = new Map<number, Reader>(
  READERS.flatMap(([type, array, read]) => [
    [type, read] as const,
    [array, (text: string) => mapArray(splitArray(text), read)] as const,
  ]),
);

function mapArray(item: Nested, read: Reader): JsonValue {
  if (item === null) return null;
  return Array.isArray(item) ? item.map((inner) => mapArray(inner, read)) : read(item);
}

/** For the driver: how to read a value of a type. */
export function readerOf(oid: number): Reader {
  return byOid.get(oid) ?? asIs;
}
