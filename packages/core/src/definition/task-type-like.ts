import type { z } from 'zod';

import type { JsonObject } from '../json.ts';

/** What the definition layer reads of a task type. The task types themselves live in a package that core does not know. */
export interface TaskTypeLike {
  readonly name: string;
  readonly summary?: string;
  /** The shape of `with` before expressions are evaluated. */
  readonly input: z.ZodType<JsonObject>;
  /** Dotted paths (`*` for any key) whose text would be executed: `${{ }}` is refused there, `instead` shows the right form. */
  readonly code: readonly { readonly path: string; readonly instead: string }[];
  /** Dotted paths that may use `secrets.*`. */
  readonly secretFields: readonly string[];
  /** Dotted paths that name a module to bundle: fixed text. */
  readonly moduleFields: readonly string[];
  capability(input: JsonObject): string;
}

export type TaskTypes = ReadonlyMap<string, TaskTypeLike>;

/** Whether a path is the dotted pattern's, or lies below it. */
export function pathMatches(pattern: string, path: readonly (string | number)[]): boolean {
  const segments = pattern.split('.');
  return (
    segments.length <= path.length &&
    segments.every((segment, index) => segment === '*' || segment === String(path[index]))
  );
}
