import { compileTrigger, nextTime, scheduleKeyOf } from '@keelson/core';
import type { ConcurrencyPolicy, TriggerDefinition } from '@keelson/core';
import type { WorkflowVersion } from '@keelson/store';
import type { MemoryDatabase } from '../../packages/store/src/memory/database.ts';
import type { World } from '../world/world.ts';

/** What an apply writes beside the version. */
export interface Registered {
  readonly version: WorkflowVersion;
  readonly limit?: { readonly policy: ConcurrencyPolicy; readonly slots: number };
  readonly triggers: readonly TriggerDefinition[];
}

/** Writes limits and schedules as an apply does, before anything runs. */
export async function register({ database }: World, all: readonly Registered[]): Promise<void> {
  const now = database.clock.now();
  await write(database, function* (it, { concurrency, schedule }) {
    for (const { version, limit, triggers } of all) {
      const { workflowId: workflow_id, id: version_id, project, name } = version;
      if (limit !== undefined) yield* it.insert(concurrency, { workflow_id, ...limit, settled: true, changed_at: now });
      for (const trigger of triggers) {
        const key = scheduleKeyOf(project, name, trigger.id);
        const next = nextTime(compileTrigger(trigger), now, key, { calendars: new Map() });
        yield* it.insert(schedule, {
          id: it.next('schedule_id'),
          workflow_id,
          version_id,
          trigger_id: trigger.id,
          trigger,
          next_due: next?.dueMs ?? null,
          next_at: next?.atMs ?? null,
          awaiting: null,
          exhausted: next === undefined,
          enabled: true,
          paused_at: null,
          paused_by: null,
          last_error: null,
          created_at: now,
          started_at: now,
          deleted_at: null,
        });
      }
    }
  });
}

type Statement = Parameters<MemoryDatabase['execute']>[1];
type Write = (...of: Parameters<Statement>) => Iterable<unknown>;

async function write(database: MemoryDatabase, make: Write): Promise<void> {
  const tx = database.transactions.begin();
  await database.execute(tx, function* (it, tables) {
    for (const step of make(it, tables)) yield step as Promise<void>;
    return [];
  });
  database.commit(tx);
}
