import type { WorkflowDefinition } from '@keelson/core';
import { LRUCache } from 'lru-cache';
import type { Queryable } from '../connection/rows.ts';

/** Versions never change, so a process keeps those it has read lately, up to this many tasks. */
const MOST_TASKS = 200_000;

export type DefinitionReader = (client: Queryable, versionId: string) => Promise<WorkflowDefinition>;

export function definitionCache(): DefinitionReader {
  const cache = new LRUCache<string, WorkflowDefinition>({
    maxSize: MOST_TASKS,
    sizeCalculation: ({ tasks }) => 1 + Object.keys(tasks).length,
  });
  return async (client, versionId) => {
    const known = cache.get(versionId);
    if (known !== undefined) return known;
    const { rows } = await client.query<{ definition: WorkflowDefinition }>(
      'select definition from workflow_version where id = $1',
      [versionId],
    );
    const definition = rows[0]?.definition;
    if (definition === undefined) throw new Error(`the workflow version ${versionId} is not there`);
    cache.set(versionId, definition);
    return definition;
  };
}
