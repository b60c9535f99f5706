import { checkTemplate } from './check-expressions.ts';
import { templatesIn } from '../expression/evaluate.ts';
import { readParams } from './check-params.ts';
import { checkEnv } from './check-action.ts';
import { checkDurations } from './check-tasks.ts';
import { readTriggers } from './check-triggers.ts';
import { normaliseConcurrency } from './concurrency.ts';
import { withoutExtensionsIn } from './extensions.ts';
import { readDependsOn } from './depends-on.ts';
import type { DefaultsFile, RootFile } from './file-schema.ts';
import { defaultsSchema, rootSchema } from './file-schema.ts';
import type { DefinitionIssue } from './issue.ts';
import { checkJsonValue } from './json-value.ts';
import type { ParamDefinition, WorkflowDefinition } from './model.ts';
import { normaliseTask, textValues } from './normalise.ts';
import type { DefinitionOptions, ReadContext } from './read-context.ts';
import { readTasks } from './read-tasks.ts';
import type { Report } from './report.ts';
import { createReport } from './report.ts';
import { readBySchema } from './schema-issues.ts';
import { readSourceText } from './source-text.ts';

export interface ParseOptions extends DefinitionOptions {
  /** The name of the file, as the caller shows it beside the issues, which carry line and column only. */
  readonly file?: string;
}

export interface DefinitionResult {
  /** Absent when any issue is an error. */
  readonly definition?: WorkflowDefinition;
  /** In the order of the text; errors and warnings. */
  readonly issues: readonly DefinitionIssue[];
}

/** Reads a definition from YAML or JSON text. Never throws for bad text; every issue has a line and a column. */
export function parseDefinition(text: string, options: ParseOptions): DefinitionResult {
  const source = readSourceText(text);
  const report = createReport(source.locate);
  const found =
    source.value === undefined && source.issues.length > 0
      ? undefined
      : readDefinition(source.value, { ...options, report, writtenAt: source.writtenAt });
  return result(found, mergeIssues(source.issues, report.issues()));
}

/** Reads a definition from an object, as the TypeScript builder makes it or as a request carries it. Issues have no positions. */
export function definitionFromObject(object: unknown, options: DefinitionOptions): DefinitionResult {
  const report = createReport();
  const found = readDefinition(object, { ...options, report, writtenAt: () => undefined });
  return result(found, report.issues());
}

function result(definition: WorkflowDefinition | undefined, issues: readonly DefinitionIssue[]): DefinitionResult {
  return definition === undefined || issues.some((issue) => issue.severity === 'error')
    ? { issues }
    : { definition, issues };
}

/** What the syntax already explains hides what follows from it on the same line. */
function mergeIssues(syntax: readonly DefinitionIssue[], others: readonly DefinitionIssue[]): DefinitionIssue[] {
  const lines = new Set(syntax.map((issue) => issue.line));
  const merged = [...syntax, ...others.filter((issue) => !lines.has(issue.line))];
  return merged.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

function readDefinition(raw: unknown, context: ReadContext): WorkflowDefinition | undefined {
  const { report } = context;
  if (!checkJsonValue(raw, report)) return undefined;
  // A copy: what is undefined in an object is absent, and later changes by the caller change nothing here.
  const value = raw === undefined ? null : (JSON.parse(JSON.stringify(raw)) as unknown);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    report.add({
      code: 'bad-type',
      path: [],
      message: 'a definition is a map with at least "name" and "tasks"',
      suggestion: 'name: my-workflow',
    });
    return undefined;
  }
  const root = readBySchema(rootSchema, withoutExtensionsIn(value, ['concurrency']), [], report) ?? salvage(value);
  const params = readParams(root.params ?? {}, report);
  const { timezone, triggers } = readTriggers(root.triggers ?? [], root.timezone, params, report, context.nowMs);
  const defaults = readDefaults(root.defaults ?? {}, params, context);
  checkFiles(root.files ?? [], report);
  const project = root.project ?? context.defaultProject ?? 'default';
  const dependsOn = readDependsOn(root.dependsOn ?? [], { project, name: root.name }, report);
  const tasks = readTasks(root.tasks, params, context);
  if (report.failed()) return undefined;
  return {
    name: root.name,
    project,
    ...(root.title !== undefined && { title: root.title }),
    ...(root.description !== undefined && { description: root.description }),
    ...(root.owner !== undefined && { owner: root.owner }),
    labels: textValues(root.labels),
    timezone,
    params: Object.fromEntries(params),
    files: root.files ?? [],
    // Left out without one: definitions from before the key keep their hash.
    ...(dependsOn.length > 0 && { dependsOn }),
    triggers,
    concurrency: normaliseConcurrency(root.concurrency ?? {}),
    onFailure: root.onFailure ?? 'continue',
    tasks: Object.fromEntries([...tasks].map(([id, file]) => [id, normaliseTask(id, file, defaults)])),
  };
}

/** The sections of a root that has mistakes, so that those inside the sections are reported in the same go. */
function salvage(value: object): RootFile {
  const given = value as Readonly<Record<string, unknown>>;
  const map = (key: string): Record<string, unknown> => (isMap(given[key]) ? given[key] : {});
  return {
    name: '',
    tasks: map('tasks'),
    params: map('params'),
    defaults: map('defaults'),
    triggers: Array.isArray(given.triggers) ? (given.triggers as unknown[]) : [],
    files: Array.isArray(given.files) ? given.files.filter((file) => typeof file === 'string') : [],
    timezone: typeof given.timezone === 'string' ? given.timezone : undefined,
  };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function readDefaults(
  section: unknown,
  params: ReadonlyMap<string, ParamDefinition>,
  { report, writtenAt }: ReadContext,
): DefaultsFile {
  const defaults = readBySchema(
    defaultsSchema,
    withoutExtensionsIn(section, ['retry', 'onLost']),
    ['defaults'],
    report,
  );
  if (defaults === undefined) return {};
  checkDurations(defaults, ['defaults'], report);
  checkEnv(defaults.env, ['defaults', 'env'], { writtenAt, report });
  for (const { text, path } of templatesIn(defaults.env ?? {})) {
    checkTemplate(
      text,
      ['defaults', 'env', ...path],
      { subject: 'defaults.env', params, tasks: undefined, secrets: true },
      report,
    );
  }
  return defaults;
}

/** Files are named from the definition's own folder, downwards. */
function checkFiles(files: readonly string[], report: Report): void {
  for (const [index, file] of files.entries()) {
    const path = ['files', index];
    if (file.trim() === '') report.add({ code: 'bad-path', path, message: 'a file needs a name' });
    else if (/^(?:[/\\~]|[A-Za-z]:)/.test(file))
      report.add({ code: 'bad-path', path, message: `${JSON.stringify(file)} is not relative to the definition file` });
    else if (file.split(/[/\\]/).includes('..'))
      report.add({
        code: 'bad-path',
        path,
        message: `${JSON.stringify(file)} leaves the folder of the definition file: ".." is refused`,
      });
    else if (file.includes('${{'))
      report.add({
        code: 'expression-not-allowed',
        path,
        message: 'files are read when the definition is applied: "${{ }}" has no value then',
      });
  }
}
