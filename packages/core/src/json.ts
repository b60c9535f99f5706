/** A value that survives `JSON.stringify` and back unchanged. */
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;

export interface JsonObject {
  [key: string]: JsonValue;
}

/**
 * Why a text cannot be stored, as the end of a sentence about it, or undefined when it can: PostgreSQL's `text` and
 * `jsonb` take neither U+0000 nor half of a surrogate pair.
 */
export function textProblem(text: string): string | undefined {
  if (text.includes('\0')) return 'holds a NUL character (U+0000), which cannot be stored';
  return text.isWellFormed() ? undefined : 'holds half of a surrogate pair, which cannot be stored';
}
