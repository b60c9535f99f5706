import type { Namespace } from '../cluster/namespace.ts';
import type { ChaosCluster } from '../cluster/cluster.ts';
import type { Nemesis } from './nemesis.ts';

type Node = { readonly name: string; readonly namespace: Namespace | undefined };

const inside = ({ servers, workers }: ChaosCluster): Node[] =>
  [...servers, ...workers].filter(({ namespace }) => namespace !== undefined);

/** A real cut: packets of the kernel are lost, none is acknowledged. */
export const namespaceCut: Nemesis = {
  name: 'namespace-cut',
  summary: 'a master or a worker in a network namespace of its own loses its packets, both ways or one',
  holdSeconds: [3, 16],
  obstacle: (cluster) => (inside(cluster).length === 0 ? 'network namespaces need root and the program ip' : undefined),
  begin: async ({ cluster, random, victims }) => {
    const victim = victims.take(inside(cluster), random);
    const { namespace } = victim;
    if (namespace === undefined) throw new Error(`${victim.name} has no namespace`);
    const directions = random.pick([['in', 'out'], ['in'], ['out']] as const);
    const sent = namespace.counts();
    namespace.cut(directions);
    return {
      target: `${victim.name}, ${directions.join(' and ')}`,
      heal: async () => {
        const now = namespace.counts();
        namespace.heal();
        victims.release(victim);
        // Frames to nobody still leave their end of the cable and are dropped at the other.
        const lost = directions.reduce((sum, direction) => sum + now[direction] - sent[direction], 0);
        return { bit: lost > 0, proof: `${lost} packets sent into the cut` };
      },
    };
  },
};
