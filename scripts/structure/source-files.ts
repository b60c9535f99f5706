import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** One text file of the repository; `path` is relative to its root, with `/`. */
export type SourceFile = { path: string; lines: string[]; imports: Import[] };

/** `target` is the imported file's path where the import is relative, else the specifier as written. */
export type Import = { line: number; target: string };

const CODE = /\.(ts|tsx|js|mjs|cjs)$/;
const TEXT = /\.(ts|tsx|js|mjs|cjs|json|sql|sh|md|yaml|yml|py|html|css)$|(^|\/)\.ci\/run$/;
const GENERATED = /(^|\/)generated\/|\.generated\.|package-lock\.json$|^docs\/.*\.json$/;

/** The files that git tracks or would track, without the generated ones. */
export function readSourceFiles(root: string): SourceFile[] {
  // The clone may belong to another user than the one who tests it (root in a container).
  const git = ['-c', 'safe.directory=*', 'ls-files', '--cached', '--others', '--exclude-standard', '-z'];
  const listing = execFileSync('git', git, { cwd: root });
  return listing
    .toString()
    .split('\0')
    .filter((path) => TEXT.test(path) && !GENERATED.test(path) && existsSync(join(root, path)))
    .map((path) => parseSourceFile(path, readFileSync(join(root, path), 'utf8')));
}

/** Splits a file into lines and finds what it imports (types too: a boundary holds for both). */
export function parseSourceFile(path: string, text: string): SourceFile {
  const lines = text.replace(/\n$/, '').split('\n');
  return { path, lines, imports: CODE.test(path) ? findImports(path, text) : [] };
}

/** `import … from 'x'`, `export … from 'x'`, `import 'x'` at a line's start, and `import('x')`, `require('x')` anywhere. */
const IMPORT =
  /^\s*(?:import\b|(?:import|export)\b[^'"`;=]*?\bfrom)\s*['"]([^'"\n]+)['"]|\b(?:import|require)\s*\(\s*['"]([^'"\n]+)['"]/gm;

function findImports(path: string, text: string): Import[] {
  const found: Import[] = [];
  for (const match of text.matchAll(IMPORT)) {
    const specifier = match[1] ?? match[2] ?? '';
    const line = text.slice(0, match.index + match[0].length).split('\n').length;
    const target = specifier.startsWith('.')
      ? normalize(join(dirname(path), specifier)).replaceAll('\\', '/')
      : specifier;
    found.push({ line, target });
  }
  return found;
}
