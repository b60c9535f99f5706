import type { JsonValue } from '@keelson/core';

/**
 * The same value with what PostgreSQL's jsonb cannot hold (NUL, halves of surrogate pairs) replaced by U+FFFD. Our own workers never
 * send such text; another one's report must not be lost for it.
 */
export function storableText(text: string): string {
  return text.includes('\0') || !text.isWellFormed() ? text.toWellFormed().replaceAll('\0', '\uFFFD') : text;
}

export function storable<T extends JsonValue>(value: T): T;
export function storable(value: JsonValue): JsonValue {
  if (typeof value === 'string') return storableText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => storable(item));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [storableText(key), storable(inner)]));
}
