/** Makes JSON of what a database returns, without losing digits, microseconds or bytes. */
import { Buffer } from 'node:buffer';
import type { JsonValue } from '@keelson/core';

/** Every decimal number of so many digits has a double of its own. */
const EXACT_DIGITS = 15;

/** A number where a double holds it exactly, else the database's own text. */
export function exactNumber(text: string): number | string {
  const number = Number(text);
  if (!Number.isFinite(number) || text.trim() === '') return text;
  if (/^-?\d+$/.test(text)) return Number.isSafeInteger(number) ? number : text;
  const digits = text.replace(/e.*$/i, '').replaceAll(/\D/g, '').replace(/^0+/, '');
  return digits.length <= EXACT_DIGITS ? number : text;
}

/** `2026-01-31 10:00:00.5+00` → `2026-01-31T10:00:00.5+00:00`. What is written in another style stays as it is. */
export function isoTime(text: string): string {
  const match = /^(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)(?:([+-]\d\d)(?::?(\d\d))?)?$/.exec(text);
  if (match === null) return text;
  const [, date, time, hours, minutes = '00'] = match;
  return `${date}T${time}${hours === undefined ? '' : `${hours}:${minutes}`}`;
}

/** What a driver made of a value, as JSON: for the types that need no knowledge of the column. */
export function jsonSafe(value: unknown): JsonValue {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'bigint') return exactNumber(String(value));
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(jsonSafe);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, jsonSafe(item)]));
}
