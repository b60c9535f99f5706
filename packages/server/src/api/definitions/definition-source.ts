import { createHash } from 'node:crypto';
import { actionsOf, canonicalJson, parseDefinition } from '@keelson/core';
import type { DefinitionIssue, JsonObject, WorkflowDefinition } from '@keelson/core';
import { ApiError } from '@keelson/protocol';
import type { RestDefinitionIssue, VersionFile } from '@keelson/protocol';
import type { DefinitionDraft } from '@keelson/store';
import type { TaskType } from '@keelson/tasks';

export interface Source {
  readonly text: string;
  /** As the client names it; repeated in issues. */
  readonly file?: string;
}

export interface ReadSource {
  readonly definition?: WorkflowDefinition;
  readonly issues: readonly RestDefinitionIssue[];
}

/** Reads definitions of the task types that this server knows. */
export interface DefinitionReader {
  read(source: Source, defaultProject?: string): ReadSource;
  readonly taskTypes: ReadonlyMap<string, TaskType>;
}

export function createDefinitionReader(taskTypes: ReadonlyMap<string, TaskType>): DefinitionReader {
  return {
    taskTypes,
    read: ({ text, file }, defaultProject) => {
      const { definition, issues } = parseDefinition(text, {
        taskTypes,
        nowMs: Date.now(),
        ...(defaultProject !== undefined && { defaultProject }),
      });
      return { issues: issues.map((issue) => restIssue(issue, file)), ...(definition && { definition }) };
    },
  };
}

function restIssue(issue: DefinitionIssue, file: string | undefined): RestDefinitionIssue {
  return file === undefined ? issue : { ...issue, file };
}

/** Throws `invalid-definition` with all issues when any source has an error. */
export function refuseErrors(sources: readonly ReadSource[]): WorkflowDefinition[] {
  const definitions = sources.flatMap(({ definition }) => definition ?? []);
  if (definitions.length === sources.length) return definitions;
  const issues = sources.flatMap((source) => source.issues);
  const errors = issues.filter(({ severity }) => severity === 'error');
  const first = errors[0];
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  throw new ApiError(
    'invalid-definition',
    `${first === undefined ? 'the definition cannot be read' : issueText(first)}${more}`,
    { issues },
  );
}

function issueText({ file, line, column, path, message }: RestDefinitionIssue): string {
  const place = [file, line, column].filter((part) => part !== undefined).join(':');
  return [place, path, message].filter((part) => part !== '').join(': ');
}

/** What the store publishes; the hash covers the meaning and the files, not the spelling. */
export function draftOf(
  definition: WorkflowDefinition,
  source: string,
  files: readonly VersionFile[],
  createdBy: string,
): DefinitionDraft {
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const hash = createHash('sha256')
    .update(canonicalJson({ definition, files: sorted }))
    .digest('hex');
  return { project: definition.project, name: definition.name, definition, source, files: sorted, hash, createdBy };
}

/** Dotted paths of the task inputs that name a module, which is bundled where the file is applied. */
export function modulesOf(definition: WorkflowDefinition, taskTypes: ReadonlyMap<string, TaskType>): string[] {
  return Object.values(definition.tasks)
    .flatMap(actionsOf)
    .flatMap(({ uses, with: input, path }) =>
      (taskTypes.get(uses)?.moduleFields ?? [])
        .filter((field) => inputAt(input, field) !== undefined)
        .map((field) => `${path}.with.${field}`),
    );
}

function inputAt(input: JsonObject, dottedPath: string): unknown {
  return dottedPath.split('.').reduce<unknown>((value, key) => (isRecord(value) ? value[key] : undefined), input);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
