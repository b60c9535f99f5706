import type { JsonValue } from '@keelson/core';

/** Keys parted by dots, list positions in brackets: `data.items[0].state`, `[0].id`, or nothing for the whole value. */
export const JSON_PATH_PATTERN = /^(?:(?:[^.[\]]+|\[\d+\])(?:\.[^.[\]]+|\[\d+\])*)?$/;

/** The value at a path, or undefined where there is none. */
export function valueAt(value: JsonValue, path: string): JsonValue | undefined {
  let found: JsonValue | undefined = value;
  for (const [step, index] of path.matchAll(/[^.[\]]+|\[(\d+)\]/g)) {
    if (found === null || typeof found !== 'object') return undefined;
    if (Array.isArray(found)) found = index === undefined ? undefined : found[Number(index)];
    else found = Object.hasOwn(found, step) ? found[step] : undefined;
    if (found === undefined) return undefined;
  }
  return found;
}
