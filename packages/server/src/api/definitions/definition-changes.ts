import { canonicalJson } from '@keelson/core';
import type { WorkflowDefinition } from '@keelson/core';
import type { DefinitionChange } from '@keelson/protocol';
import type { FileRef } from '@keelson/store';

export interface Content {
  readonly definition: WorkflowDefinition;
  readonly files: readonly FileRef[];
}

/** What a new version would change, each difference at the deepest path that has one. Lists are compared whole. */
export function definitionChanges(before: Content | undefined, after: Content): DefinitionChange[] {
  if (before === undefined) return [];
  return [
    ...differences('', before.definition, after.definition),
    ...differences('files', filesByPath(before), filesByPath(after)),
  ];
}

function filesByPath({ files }: Content): Record<string, string> {
  return Object.fromEntries(files.map(({ path, sha256, mode }) => [path, `${sha256} ${mode}`]));
}

function* differences(path: string, before: unknown, after: unknown): Generator<DefinitionChange> {
  if (before === undefined) yield { path, kind: 'added' };
  else if (after === undefined) yield { path, kind: 'removed' };
  else if (isMap(before) && isMap(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      yield* differences(path === '' ? key : `${path}.${key}`, before[key], after[key]);
    }
  } else if (canonicalJson(before) !== canonicalJson(after)) yield { path, kind: 'changed' };
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
