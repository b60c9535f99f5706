import { isAlive } from '../cluster/process.ts';
import type { ManagedProcess } from '../cluster/process.ts';
import type { ChaosCluster } from '../cluster/cluster.ts';
import { apis, masters } from './nemesis.ts';
import type { Nemesis } from './nemesis.ts';

type Node = { readonly name: string; readonly process: ManagedProcess };

/** kill -9, and a new process of the same name after a while. */
function kill(name: string, summary: string, candidates: (cluster: ChaosCluster) => readonly Node[]): Nemesis {
  return {
    name,
    summary,
    holdSeconds: [1, 8],
    obstacle: (cluster) => (candidates(cluster).length === 0 ? 'the cluster has none' : undefined),
    begin: async ({ cluster, random, victims }) => {
      const victim = victims.take(candidates(cluster), random);
      const pid = victim.process.pid();
      victim.process.expectEnd();
      const sent = victim.process.signal('SIGKILL');
      const exit = await victim.process.exited();
      return {
        target: victim.name,
        heal: async () => {
          await victim.process.start();
          victims.release(victim);
          const died = sent && exit?.signal === 'SIGKILL' && pid !== undefined && !isAlive(pid);
          return { bit: died, proof: `process ${pid} ended by ${exit?.signal ?? `exit ${exit?.code}`}` };
        },
      };
    },
  };
}

export const killMaster = kill('kill-master', 'kill -9 of a server with the role master', masters);
export const killApi = kill('kill-api', 'kill -9 of a server with the role api only', apis);
export const killWorker = kill('kill-worker', 'kill -9 of a worker', ({ workers }) => workers);
