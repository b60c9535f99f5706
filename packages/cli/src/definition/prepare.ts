import { readFile, realpath } from 'node:fs/promises';
import { dirname, isAbsolute } from 'node:path';
import type { WorkflowDefinition } from '@keelson/core';
import { MAX_DEFINITION_BYTES, definitionFromObject, dependencyCycle, parseDefinition } from '@keelson/core';
import type { RestDefinitionIssue } from '@keelson/protocol';
import { MAX_APPLY_WORKFLOWS, MAX_VERSION_FILES } from '@keelson/protocol';
import { taskTypes } from '@keelson/tasks';
import { CliFailure, systemErrorCode } from '../failure.ts';
import { bundleModules, shownFile } from './bundle-modules.ts';
import type { DefinitionPath } from './find-definitions.ts';
import { loadModule } from './load-module.ts';
import type { VersionContent } from './version-files.ts';
import { gatherFiles, isFileError } from './version-files.ts';

/** A definition that is ready to be applied: read, checked, its files hashed and its modules bundled. */
export interface PreparedWorkflow {
  readonly file: string;
  readonly source: string;
  readonly definition: WorkflowDefinition;
  readonly contents: readonly VersionContent[];
}

export interface Prepared {
  /** Those without errors. */
  readonly workflows: readonly PreparedWorkflow[];
  readonly issues: readonly RestDefinitionIssue[];
  /** Text of the files that issues name, to show the line. */
  readonly sources: ReadonlyMap<string, string>;
  /** Names of definitions made by a module: a server's line numbers mean nothing to a person there. */
  readonly generated: ReadonlySet<string>;
}

interface DefinitionText {
  readonly file: string;
  readonly folder: string;
  readonly source: string;
  readonly definition?: WorkflowDefinition;
  readonly issues: readonly RestDefinitionIssue[];
  readonly generated: boolean;
}

/** Does everything about definitions that needs no server. Throws only for files that cannot be read. */
export async function prepare(cwd: string, paths: readonly DefinitionPath[]): Promise<Prepared> {
  const texts = (await Promise.all(paths.map(readDefinitions))).flat();
  if (texts.length > MAX_APPLY_WORKFLOWS)
    throw new CliFailure(
      'too-many-workflows',
      `${texts.length} workflows at once: at most ${MAX_APPLY_WORKFLOWS} can be applied together`,
    );
  const issues: RestDefinitionIssue[] = [];
  const workflows: PreparedWorkflow[] = [];
  const sources = new Map<string, string>(
    texts.filter(({ generated }) => !generated).map(({ file, source }) => [file, source]),
  );
  for (const text of texts) {
    const files = text.definition === undefined ? undefined : await prepareFiles(cwd, text, text.definition);
    const found = [...text.issues, ...(files?.issues ?? [])];
    issues.push(...found);
    if (text.definition !== undefined && !found.some(({ severity }) => severity === 'error')) {
      workflows.push({
        file: text.file,
        source: text.source,
        definition: text.definition,
        contents: files?.contents ?? [],
      });
    }
  }
  issues.push(...duplicates(texts), ...circle(texts));
  await addSources(sources, issues, cwd);
  return {
    workflows,
    issues,
    sources,
    generated: new Set(texts.filter(({ generated }) => generated).map(({ file }) => file)),
  };
}

async function readDefinitions(path: DefinitionPath): Promise<DefinitionText[]> {
  const folder = await realpath(dirname(path.path));
  if (path.format === 'module') {
    return (await loadModule(path)).map(({ shown, value }) => {
      const { definition, issues } = definitionFromObject(value, { taskTypes, nowMs: Date.now() });
      // What a definition cannot hold is an issue already; JSON.stringify must not throw on top of it.
      const source = definition === undefined ? '' : `${JSON.stringify(value, null, 2)}\n`;
      return {
        file: shown,
        folder,
        source,
        generated: true,
        issues: withFile(issues, shown),
        ...(definition && { definition }),
      };
    });
  }
  const source = await readText(path);
  const { definition, issues } = parseDefinition(source, { taskTypes, file: path.shown, nowMs: Date.now() });
  return [
    {
      file: path.shown,
      folder,
      source,
      generated: false,
      issues: withFile(issues, path.shown),
      ...(definition && { definition }),
    },
  ];
}

async function readText({ path, shown }: DefinitionPath): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new CliFailure('cannot-read', `${shown}: cannot be read (${systemErrorCode(error) ?? String(error)})`);
  }
  if (bytes.length > MAX_DEFINITION_BYTES)
    throw new CliFailure(
      'definition-too-large',
      `${shown}: a definition has at most ${MAX_DEFINITION_BYTES} bytes; this one has ${bytes.length}`,
    );
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new CliFailure('not-utf8', `${shown}: is not UTF-8 text`);
  }
}

async function prepareFiles(cwd: string, { file, folder }: DefinitionText, definition: WorkflowDefinition) {
  const gathered = await gatherFiles(folder, definition.files).catch((error: unknown) => {
    if (!isFileError(error)) throw error;
    throw new CliFailure(
      'cannot-read',
      `${file}: a file of it cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  });
  const bundled = await bundleModules(folder, definition, taskTypes);
  const contents = [...gathered.contents, ...bundled.contents];
  const issues = [...gathered.issues, ...bundled.issues].map((issue) =>
    issue.file === undefined ? { ...issue, file } : { ...issue, file: shownFile(cwd, issue.file) },
  );
  if (contents.length > MAX_VERSION_FILES) {
    issues.push({
      severity: 'error',
      code: 'too-many-files',
      message: `a version has at most ${MAX_VERSION_FILES} files; these globs match ${contents.length}`,
      path: 'files',
      file,
    });
  }
  return { contents, issues };
}

function duplicates(texts: readonly DefinitionText[]): RestDefinitionIssue[] {
  const seen = new Map<string, string>();
  return texts.flatMap(({ file, definition }) => {
    if (definition === undefined) return [];
    const name = `${definition.project}/${definition.name}`;
    const other = seen.get(name);
    seen.set(name, other ?? file);
    if (other === undefined) return [];
    return [
      {
        severity: 'error' as const,
        code: 'duplicate-workflow',
        message: `${other} defines the workflow ${name}, too`,
        path: 'name',
        file,
      },
    ];
  });
}

/** Workflows of these files that depend on each other. Whether the others exist only the server knows. */
function circle(texts: readonly DefinitionText[]): RestDefinitionIssue[] {
  const named = texts.flatMap(({ file, definition }) =>
    definition === undefined ? [] : [{ file, definition, name: `${definition.project}/${definition.name}` }],
  );
  const found = dependencyCycle(new Map(named.map(({ name, definition }) => [name, definition.dependsOn ?? []])));
  const first = named.find(({ name }) => name === found?.[0]);
  // One that depends on itself is an issue of its file already.
  if (found === undefined || first === undefined || found.length === 1) return [];
  return [
    {
      severity: 'error' as const,
      code: 'dependency-cycle',
      message: `these workflows depend on each other: ${[...found, found[0]].join(' → ')}`,
      suggestion: 'take one of these names out of its dependsOn',
      path: 'dependsOn',
      file: first.file,
    },
  ];
}

function withFile(issues: readonly RestDefinitionIssue[], file: string): RestDefinitionIssue[] {
  return issues.map((issue) => ({ ...issue, file }));
}

/** The lines of modules that did not build can be shown, too. */
async function addSources(
  sources: Map<string, string>,
  issues: readonly RestDefinitionIssue[],
  cwd: string,
): Promise<void> {
  for (const { file, line } of issues) {
    if (file === undefined || line === undefined || sources.has(file)) continue;
    const text = await readFile(isAbsolute(file) ? file : `${cwd}/${file}`, 'utf8').catch(() => undefined);
    if (text !== undefined) sources.set(file, text);
  }
}
