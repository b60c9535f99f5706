import { textProblem } from '@keelson/core';
import type { JsonValue } from '@keelson/core';

/** What one output may weigh: the bytes of a text, or of the JSON of any other value. */
export const MAX_OUTPUT_BYTES = 64 * 1024;

/** Deeper values overflow the stack of some reader on their way through JSON, zod and `jsonb`. */
const MAX_DEPTH = 100;

const encoder = new TextEncoder();

/**
 * Why a value cannot be an output, or undefined when it can. PostgreSQL's `jsonb` takes neither U+0000 nor half of a
 * surrogate pair, so they are refused here, where the task can be told.
 */
export function outputProblem(value: JsonValue): string | undefined {
  const problem = contentProblem(value, 0);
  if (problem !== undefined) return problem;
  if (!isLarger(typeof value === 'string' ? value : JSON.stringify(value), MAX_OUTPUT_BYTES)) return undefined;
  return `is larger than ${MAX_OUTPUT_BYTES / 1024} KiB; write it to a file in $KEELSON_OUTPUT_DIR instead`;
}

/** Whether a text takes more bytes in UTF-8. A UTF-16 unit takes 3 at most, so that most texts need no counting. */
export function isLarger(text: string, bytes: number): boolean {
  return text.length > bytes || (text.length * 3 > bytes && encoder.encode(text).length > bytes);
}

/** The same of a key: on the way to the server `__proto__` is refused as an attack on whoever reads it into an object. */
export function outputKeyProblem(key: string): string | undefined {
  return key === '__proto__' ? 'has the key "__proto__", which cannot be used' : textProblem(key);
}

function contentProblem(value: JsonValue, depth: number): string | undefined {
  if (typeof value === 'string') return textProblem(value);
  if (value === null || typeof value !== 'object') return undefined;
  if (depth === MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} levels`;
  for (const [key, item] of Object.entries(value)) {
    const problem = outputKeyProblem(key) ?? contentProblem(item, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
