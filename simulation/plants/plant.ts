import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Root of the repository, with a slash at its end. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** One change of a source file, made when the module is loaded. */
export interface Patch {
  /** From the root of the repository. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

/** A bug that is put into the product on purpose, to see that a check reports it. */
export interface Plant {
  /** Kebab case; `--plant NAME`, `KEELSON_PLANT=NAME,NAME`. */
  readonly name: string;
  /** One sentence: which rule of the design it breaks. */
  readonly breaks: string;
  readonly patches: readonly Patch[];
  /** Where it can be shown: some need the locks of a real PostgreSQL. */
  readonly runsOn: 'simulation' | 'postgres';
}

/** @throws when `find` is not there exactly once: a patch that no longer fits must not pass for one that changes nothing */
export function applyPatch(source: string, { file, find, replace }: Patch): string {
  const count = source.split(find).length - 1;
  if (count === 1) return source.replace(find, () => replace);
  throw new Error(`patch of ${file}: its text is there ${count} times instead of once:\n${find}`);
}

/** The text of a file, named from the root of the repository. */
export function readSource(file: string): string {
  return readFileSync(ROOT + file, 'utf8');
}
