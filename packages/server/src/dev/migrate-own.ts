import { setTimeout as sleep } from 'node:timers/promises';
import { migrate, SchemaError } from '@keelson/store';
import type { Logger } from 'pino';

/** Longer than the registration of a server that was killed lasts, and the shortest lease. */
const PATIENCE_MS = 20_000;
const PAUSE_MS = 500;

/**
 * The schema of dev's own database. Nobody else is on it but what an earlier `dev` has left behind, which is forgotten soon: that is
 * waited for.
 */
export async function migrateOwn(databaseUrl: string, log: Logger): Promise<void> {
  for (const until = performance.now() + PATIENCE_MS; ;) {
    try {
      return void (await migrate(databaseUrl));
    } catch (error) {
      const passes = error instanceof SchemaError && error.code === 'older-processes-running';
      if (!passes || performance.now() > until) throw error;
      log.info({ err: error }, 'waiting until processes of an earlier run are forgotten');
      await sleep(PAUSE_MS);
    }
  }
}
