import { lstat, readFile, stat } from 'node:fs/promises';
import { extname, join, relative, resolve } from 'node:path';
import { glob } from 'tinyglobby';
import { EXIT } from '../exit-codes.ts';
import { CliFailure, systemErrorCode } from '../failure.ts';

export type DefinitionFormat = 'text' | 'module';

/** A file that holds one definition (YAML, JSON), or a module that exports some. */
export interface DefinitionPath {
  readonly path: string;
  /** As it is shown: relative to where the command runs. */
  readonly shown: string;
  readonly format: DefinitionFormat;
}

export interface FoundDefinitions {
  readonly definitions: readonly DefinitionPath[];
  /** Files of a directory that look like definitions by their ending, but define no workflow. */
  readonly skipped: readonly string[];
}

const FORMATS: Readonly<Record<string, DefinitionFormat>> = {
  '.yaml': 'text',
  '.yml': 'text',
  '.json': 'text',
  '.ts': 'module',
  '.mts': 'module',
  '.js': 'module',
  '.mjs': 'module',
};

/**
 * In a directory (searched to its bottom, links and `node_modules` left out) a YAML or JSON file with a top-level `tasks` is a
 * definition, and so is a module named `*.workflow.ts` (or .js, .mts, .mjs): other modules must not be run just because they lie there.
 */
export async function findDefinitions(cwd: string, paths: readonly string[]): Promise<FoundDefinitions> {
  const definitions = new Map<string, DefinitionPath>();
  const skipped: string[] = [];
  for (const given of paths) {
    const path = resolve(cwd, given);
    if (await isDirectory(path, given)) {
      const inside = await searchDirectory(cwd, path);
      if (inside.definitions.length === 0) throw nothingFound(given, inside.skipped);
      for (const definition of inside.definitions) definitions.set(definition.path, definition);
      skipped.push(...inside.skipped);
    } else definitions.set(path, explicitFile(cwd, path, given));
  }
  return { definitions: [...definitions.values()], skipped };
}

async function isDirectory(path: string, given: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const code = systemErrorCode(error);
    throw new CliFailure(
      'cannot-read',
      code === 'ENOENT'
        ? `${given}: there is no such file or directory`
        : `${given}: cannot be read (${code ?? String(error)})`,
    );
  }
}

function explicitFile(cwd: string, path: string, given: string): DefinitionPath {
  const format = FORMATS[extname(path)];
  if (format === undefined)
    throw new CliFailure('not-a-definition', `${given}: a definition is a .yaml, .yml, .json, .ts or .js file`, {
      exitCode: EXIT.usage,
    });
  return { path, shown: shownPath(cwd, path), format };
}

async function searchDirectory(cwd: string, directory: string): Promise<FoundDefinitions> {
  const names = await glob(['**/*.{yaml,yml,json}', '**/*.workflow.{ts,mts,js,mjs}'], {
    cwd: directory,
    ignore: ['**/node_modules/**'],
    followSymbolicLinks: false,
    onlyFiles: true,
    expandDirectories: false,
  });
  const definitions: DefinitionPath[] = [];
  const skipped: string[] = [];
  for (const name of names.toSorted()) {
    const path = join(directory, name);
    const format = FORMATS[extname(path)] ?? 'text';
    if (format === 'module' || (await definesTasks(path)))
      definitions.push({ path, shown: shownPath(cwd, path), format });
    else skipped.push(shownPath(cwd, path));
  }
  return { definitions, skipped };
}

/** No definition is larger, and a directory may hold data files of any size. */
const LARGEST_CANDIDATE = 64 * 1024 * 1024;

/** By the text alone, so that a definition with a syntax error is still reported and not passed over. */
async function definesTasks(path: string): Promise<boolean> {
  if ((await lstat(path)).size > LARGEST_CANDIDATE) return false;
  const text = await readFile(path, 'utf8');
  if (extname(path) !== '.json')
    return /^(?:tasks|"tasks"|'tasks')\s*:/m.test(text) || /^\s*\{[^]*\btasks\b/.test(text);
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && 'tasks' in value && 'name' in value;
  } catch {
    return /"tasks"\s*:/.test(text);
  }
}

function nothingFound(given: string, skipped: readonly string[]): CliFailure {
  const seen =
    skipped.length === 0 ? '' : ` (${skipped.slice(0, 3).join(', ')}${skipped.length > 3 ? ', …' : ''} has no "tasks")`;
  return new CliFailure('no-definitions', `${given}: no workflow definition in it${seen}`, {
    advice:
      'in a directory, definitions are *.yaml, *.yml and *.json files with "tasks", and modules named *.workflow.ts or *.workflow.js',
  });
}

function shownPath(cwd: string, path: string): string {
  const shorter = relative(cwd, path);
  return shorter === '' || shorter.startsWith('..') ? path : shorter;
}
