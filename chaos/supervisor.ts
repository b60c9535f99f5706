import { setTimeout as delay } from 'node:timers/promises';
import type { ChaosCluster } from './cluster/cluster.ts';
import type { Exit } from './cluster/process.ts';

/** An end that no fault had asked for. */
export interface UnaskedEnd {
  readonly name: string;
  readonly at: number;
  readonly exit: Exit;
}

export interface Supervisor {
  readonly ends: readonly UnaskedEnd[];
  stop(): Promise<void>;
}

const AGAIN_MS = 300;

/** Starts again what ends by itself, as systemd would; what was shot is started again by who shot it. */
export function superviseCluster(
  { servers, workers }: ChaosCluster,
  complain: (rule: string, detail: string) => void,
): Supervisor {
  const ends: UnaskedEnd[] = [];
  const starting = new Set<Promise<void>>();
  let stopped = false;
  for (const { name, process } of [...servers, ...workers]) {
    process.onUnexpectedEnd((exit) => {
      if (stopped) return;
      ends.push({ name, at: exit.at, exit });
      // Its own launcher kills a worker whose lease ends; nothing else may end a process.
      const byLauncher = exit.signal === 'SIGKILL' && workers.some((worker) => worker.name === name);
      if (!byLauncher) complain('crash', `${name} ended by itself with ${exit.signal ?? `exit code ${exit.code}`}`);
      const again = delay(AGAIN_MS)
        .then(() => process.start())
        .catch((error: unknown) => complain('recovery', `${name} could not be started again: ${String(error)}`))
        .finally(() => starting.delete(again));
      starting.add(again);
    });
  }
  return {
    ends,
    stop: async () => {
      await Promise.all(starting);
      stopped = true;
    },
  };
}
