import { processState } from '../cluster/process.ts';
import type { ManagedProcess } from '../cluster/process.ts';
import type { ChaosCluster } from '../cluster/cluster.ts';
import { anywhere, masters } from './nemesis.ts';
import type { Nemesis } from './nemesis.ts';

type Node = { readonly name: string; readonly process: ManagedProcess };

/** SIGSTOP for longer than a lease, then SIGCONT: the process goes on in the belief that no time has passed. */
function pause(name: string, summary: string, candidates: (cluster: ChaosCluster) => readonly Node[]): Nemesis {
  return {
    name,
    summary,
    holdSeconds: [12, 18],
    obstacle: anywhere,
    begin: async ({ cluster, random, victims }) => {
      const victim = victims.take(candidates(cluster), random);
      const { process } = victim;
      const pid = process.pid();
      // The launcher of a stopped worker kills it when its lease ends.
      process.expectEnd();
      process.signal('SIGSTOP');
      return {
        target: victim.name,
        heal: async () => {
          const state = pid === undefined ? undefined : processState(pid);
          process.signal('SIGCONT');
          const killed = state === undefined || state === 'Z';
          if (killed) await process.exited();
          await process.start();
          victims.release(victim);
          const proof = killed ? 'its launcher killed it meanwhile' : `process ${pid} was in state ${state}`;
          return { bit: pid !== undefined && (killed || state === 'T'), proof };
        },
      };
    },
  };
}

export const pauseMaster = pause('pause-master', 'SIGSTOP of a master past the lease, then SIGCONT', masters);
export const pauseWorker = pause(
  'pause-worker',
  'SIGSTOP of a worker past the lease, then SIGCONT',
  ({ workers }) => workers,
);
