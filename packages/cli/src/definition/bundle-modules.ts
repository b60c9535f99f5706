import { stat } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import { actionsOf } from '@keelson/core';
import type { JsonValue, WorkflowDefinition } from '@keelson/core';
import type { RestDefinitionIssue } from '@keelson/protocol';
import type { TaskType } from '@keelson/tasks';
import { bundledModulePath } from '@keelson/tasks';
import type { BuildFailure, BuildResult, Message } from 'esbuild';
import type { VersionContent } from './version-files.ts';
import { bytesContent, linkProblem } from './version-files.ts';

export interface BundledModules {
  readonly contents: readonly VersionContent[];
  readonly issues: readonly RestDefinitionIssue[];
}

/** Bundled CommonJS packages call `require` for Node's own modules, which an ES module has not. */
const REQUIRE_BANNER =
  "import { createRequire as keelsonCreateRequire } from 'node:module'; const require = keelsonCreateRequire(import.meta.url);";

/** Bundles each module that a task names, with everything that it imports. The same sources give the same octets on any machine. */
export async function bundleModules(
  folder: string,
  definition: WorkflowDefinition,
  taskTypes: ReadonlyMap<string, TaskType>,
): Promise<BundledModules> {
  const contents: VersionContent[] = [];
  const issues: RestDefinitionIssue[] = [];
  const done = new Set<string>();
  for (const { module, path } of modulesOf(definition, taskTypes)) {
    const target = bundledModulePath(module);
    if (done.has(target)) continue;
    done.add(target);
    const bundled = await bundleModule(folder, module, path);
    issues.push(...bundled.issues);
    if (bundled.bytes !== undefined) contents.push(bytesContent(target, bundled.bytes));
  }
  return { contents, issues };
}

interface NamedModule {
  /** As the definition names it. */
  readonly module: string;
  /** Where it does. */
  readonly path: string;
}

function modulesOf(definition: WorkflowDefinition, taskTypes: ReadonlyMap<string, TaskType>): NamedModule[] {
  return Object.values(definition.tasks)
    .flatMap(actionsOf)
    .flatMap(({ uses, with: input, path }) =>
      (taskTypes.get(uses)?.moduleFields ?? []).flatMap((field) => {
        const module = inputAt(input, field);
        return typeof module === 'string' ? [{ module, path: `${path}.with.${field}` }] : [];
      }),
    );
}

function inputAt(input: JsonValue, dottedPath: string): JsonValue | undefined {
  return dottedPath
    .split('.')
    .reduce<JsonValue | undefined>(
      (value, key) =>
        typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, key)
          ? value[key]
          : undefined,
      input,
    );
}

async function bundleModule(
  folder: string,
  module: string,
  path: string,
): Promise<{ bytes?: Uint8Array; issues: RestDefinitionIssue[] }> {
  const refused = (code: string, message: string, suggestion?: string) => ({
    issues: [{ severity: 'error' as const, code, message, path, ...(suggestion !== undefined && { suggestion }) }],
  });
  const found = await stat(join(folder, module)).catch(() => undefined);
  if (found?.isFile() !== true)
    return refused('missing-file', `there is no module ${JSON.stringify(module)} in the folder of the definition`);
  const link = await linkProblem(folder, join(module));
  if (link !== undefined) return refused('link-refused', link, 'put the module itself there');
  const { build } = await import('esbuild');
  let result: BuildResult<{ write: false; metafile: true }>;
  try {
    result = await build({
      entryPoints: [join(folder, module)],
      absWorkingDir: folder,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node22',
      banner: { js: REQUIRE_BANNER },
      charset: 'utf8',
      legalComments: 'none',
      sourcemap: false,
      write: false,
      metafile: true,
      logLevel: 'silent',
    });
  } catch (error) {
    if (!isBuildFailure(error)) throw error;
    return { issues: error.errors.map((message) => messageIssue('bundle-failed', 'error', message, folder, path)) };
  }
  const warnings = result.warnings.map((message) => messageIssue('bundle-warning', 'warning', message, folder, path));
  const [output] = Object.values(result.metafile.outputs);
  if (output?.exports.includes('default') !== true) {
    return refused(
      'no-default-export',
      `${module} has no default export`,
      'export default async function ({ args, log }) { … }',
    );
  }
  const bytes = result.outputFiles[0]?.contents;
  return { issues: warnings, ...(bytes !== undefined && { bytes }) };
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors);
}

function messageIssue(
  code: string,
  severity: 'error' | 'warning',
  { text, location, notes }: Message,
  folder: string,
  path: string,
): RestDefinitionIssue {
  const hint = notes[0]?.text;
  return {
    severity,
    code,
    message: text,
    path,
    ...(location !== null && {
      file: absoluteFile(folder, location.file),
      line: location.line,
      column: location.column + 1,
    }),
    ...(hint !== undefined && { suggestion: hint }),
  };
}

function absoluteFile(folder: string, file: string): string {
  return isAbsolute(file) ? file : join(folder, file);
}

/** A path as it is shown beside an issue. */
export function shownFile(cwd: string, file: string): string {
  const shorter = relative(cwd, file);
  return shorter.startsWith('..') ? file : shorter;
}
