import { compileWorkflow } from '@keelson/core';
import type { TaskPlan, WorkflowPlan } from '@keelson/core';
import type { MasterStore } from '@keelson/store';
import { taskTypes } from '@keelson/tasks';
import { LRUCache } from 'lru-cache';

/** A workflow version, compiled: immutable, so any master may keep it. */
export interface KnownVersion {
  readonly versionId: string;
  readonly project: string;
  readonly workflow: string;
  readonly version: number;
  readonly plan: WorkflowPlan;
  readonly files: readonly {
    readonly path: string;
    readonly sha256: string;
    readonly size: number;
    readonly mode: number;
  }[];
  /** What a worker must announce to be given the task, or this step of it. */
  capability(task: TaskPlan, step?: 'before' | 'after'): string;
}

export interface Plans {
  get(versionId: string): KnownVersion | undefined;
  /** Loads those that are not at hand. Rejects when one of them does not exist. */
  load(versionIds: Iterable<string>): Promise<void>;
}

const MOST_VERSIONS = 2000;

export function createPlans(definitions: MasterStore['definitions']): Plans {
  const cache = new LRUCache<string, KnownVersion>({ max: MOST_VERSIONS });
  const loading = new Map<string, Promise<void>>();

  const load = async (versionId: string): Promise<void> => {
    const found = await definitions.versionById(versionId);
    if (found === undefined) throw new Error(`workflow version ${versionId} does not exist`);
    const { project, name, version, files, definition } = found;
    cache.set(versionId, {
      versionId,
      project,
      workflow: name,
      version,
      files,
      plan: compileWorkflow(definition),
      capability: capabilities(),
    });
  };

  return {
    get: (versionId) => cache.get(versionId),
    load: async (versionIds) => {
      const pending: Promise<void>[] = [];
      for (const id of versionIds) {
        if (cache.has(id)) continue;
        const under = loading.get(id) ?? load(id).finally(() => loading.delete(id));
        loading.set(id, under);
        pending.push(under);
      }
      await Promise.all(pending);
    },
  };
}

function capabilities(): KnownVersion['capability'] {
  const known = new Map<string, string>();
  return ({ definition }, step) => {
    const key = step === undefined ? definition.id : `${definition.id}/${step}`;
    let capability = known.get(key);
    if (capability === undefined) {
      const { uses, with: input } = (step === undefined ? undefined : definition.broadcast?.[step]) ?? definition;
      capability = taskTypes.get(uses)?.capability(input) ?? uses;
      known.set(key, capability);
    }
    return capability;
  };
}
