import type { Dice } from '../clock/random.ts';
import type { Node } from '../nodes/node.ts';
import { DATABASE } from '../world/world.ts';
import type { World } from '../world/world.ts';

/** Cuts of links, each of which is mended after a while. */
export interface Links {
  cut(bothWays: boolean): void;
  mendAll(): void;
}

export function openLinks({ timeline, network, trace, servers }: World, nodes: readonly Node[], dice: Dice): Links {
  const cuts = new Set<() => void>();
  const cut = (bothWays: boolean): void => {
    const one = dice.pick(nodes).name;
    const other = dice.chance(0.5) ? DATABASE : dice.pick(servers);
    if (one === other) return;
    const links = dice.chance(0.5) ? [[one, other] as const] : [[other, one] as const];
    if (bothWays) links.push([...(links[0] ?? [one, other])].toReversed() as unknown as readonly [string, string]);
    for (const [from, to] of links) {
      trace.note('network', `cut ${from} > ${to}`);
      network.cut(from, to);
    }
    const mend = (): void => {
      if (!cuts.delete(mend)) return;
      for (const [from, to] of links) {
        trace.note('network', `mended ${from} > ${to}`);
        network.mend(from, to);
      }
    };
    cuts.add(mend);
    timeline.after(dice.chance(0.5) ? dice.between(50, 3000) : dice.between(3000, 30_000), mend);
  };
  return {
    cut,
    mendAll: () => {
      for (const mend of cuts) mend();
    },
  };
}
