import type { MemoryDatabase, Statement } from './database.ts';
import type { ScheduleRow } from './rows.ts';

/** What administration does on PostgreSQL with ordinary queries: the schedules that masters find. */
export interface MemorySchedules {
  /** A schedule with defaults for what is not said; answers its id. */
  add(
    schedule: Pick<ScheduleRow, 'workflow_id' | 'version_id' | 'trigger_id' | 'trigger'> & Partial<ScheduleRow>,
  ): Promise<string>;
  /** Changes one under its lock. */
  change(id: string, change: (row: ScheduleRow) => ScheduleRow): Promise<void>;
}

export function memorySchedules(database: MemoryDatabase): MemorySchedules {
  const run = async (statement: Statement): Promise<void> => {
    const tx = database.transactions.begin();
    try {
      await database.execute(tx, statement);
      database.commit(tx);
    } catch (error) {
      database.transactions.abort(tx);
      throw error;
    }
  };
  return {
    add: async (schedule) => {
      const made = { id: '' };
      await run(function* (it, tables) {
        const now = it.clock.now();
        const row = {
          next_due: null,
          next_at: null,
          awaiting: null,
          exhausted: false,
          enabled: true,
          paused_at: null,
          paused_by: null,
          last_error: null,
          created_at: now,
          started_at: now,
          deleted_at: null,
        };
        made.id = it.next('schedule_id');
        yield* it.insert(tables.schedule, { ...row, ...schedule, id: made.id });
        return [];
      });
      return made.id;
    },
    change: (id, change) =>
      run(function* (it, tables) {
        const found = it.byKey(tables.schedule, id);
        if (found !== undefined) yield* it.update(found, change);
        return [];
      }),
  };
}
