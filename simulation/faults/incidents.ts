import type { ClientNode } from '../nodes/client-node.ts';
import type { Node } from '../nodes/node.ts';
import type { ServerNode } from '../nodes/server-node.ts';
import { DATABASE } from '../world/world.ts';
import type { World } from '../world/world.ts';
import type { Climate, Incident } from './climate.ts';
import { calmClimate } from './climate.ts';

export interface Cluster {
  readonly servers: readonly ServerNode[];
  readonly workers: readonly Node[];
  readonly client: ClientNode;
}

/** Faults until they are healed. */
export interface Faults {
  /** Nothing goes wrong any more: links are mended, pauses end by themselves soon, who is dead is started. */
  heal(): void;
}

/** Longest absence of a process, a link or the database. */
const RESTART_MS = { least: 20, most: 8000 };

export function startFaults(world: World, cluster: Cluster, climate: Climate): Faults {
  const { timeline, network, trace } = world;
  const dice = world.dice.stream('faults');
  let healed = false;
  const nodes: readonly Node[] = [...cluster.servers, ...cluster.workers, cluster.client];
  const cuts = new Set<() => void>();
  const bootLater = (node: Node): void => {
    const ms = healed ? 20 : dice.between(RESTART_MS.least, RESTART_MS.most);
    timeline.after(ms, () => (node.life() === undefined ? node.boot() : undefined));
  };
  world.climate = climate;
  Object.assign(network.weather, climate.weather);
  world.onGone(bootLater);

  const crash = (node: Node): void => {
    if (node.life() === undefined) return;
    node.crash('by the nemesis');
  };
  const restart = async (node: Node): Promise<void> => {
    if (node.life() === undefined) return;
    trace.note(node.name, 'is asked to end');
    await node.leave();
  };
  const pause = (node: Node): void => {
    const ms = dice.chance(0.5) ? dice.between(10, 2000) : dice.between(2000, 20_000);
    trace.note(node.name, `is paused for ${ms.toFixed(0)} ms`);
    node.life()?.pause(ms);
  };
  /** Long pauses with short moments between them: enough to hear an answer, not enough to do something about it. */
  const stutter = (node: Node): void => {
    const life = node.life();
    let at = 0;
    for (let number = dice.whole(2, 4); number > 0; number--) {
      const ms = dice.between(300, 12_000);
      timeline.after(at, () => {
        if (life?.alive !== true) return;
        trace.note(life.name, `stutters: is paused for ${ms.toFixed(0)} ms`);
        life.pause(ms);
      });
      at += ms + dice.between(1, 200);
    }
  };
  const cut = (bothWays: boolean): void => {
    const one = dice.pick(nodes).name;
    const other = dice.chance(0.5) ? DATABASE : dice.pick(world.servers);
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
  const restartDatabase = (): void => {
    const ms = dice.between(RESTART_MS.least, RESTART_MS.most);
    trace.note(DATABASE, `goes down for ${ms.toFixed(0)} ms`);
    world.databaseState.downUntil = timeline.now() + ms;
    world.database.restart();
    timeline.after(ms, () => world.database.restart());
  };
  const jump = (): void => {
    const ms = dice.chance(0.5) ? dice.between(1500, 30_000) : -dice.between(10, 5000);
    trace.note(DATABASE, `its clock jumps by ${ms.toFixed(0)} ms`);
    world.databaseState.ahead += ms;
  };
  const strike: Readonly<Record<Incident, () => void>> = {
    'crash-server': () => crash(dice.pick(cluster.servers)),
    'crash-worker': () => crash(dice.pick(cluster.workers)),
    'crash-client': () => crash(cluster.client),
    'restart-server': () => void restart(dice.pick(cluster.servers)),
    'restart-worker': () => void restart(dice.pick(cluster.workers)),
    'restart-database': restartDatabase,
    'pause-server': () => pause(dice.pick(cluster.servers)),
    'pause-worker': () => pause(dice.pick(cluster.workers)),
    'stutter-worker': () => stutter(dice.pick(cluster.workers)),
    cut: () => cut(true),
    'one-way-cut': () => cut(false),
    'clock-jump': jump,
  };
  const plan = (incident: Incident, perSecond: number): void => {
    timeline.after(dice.wait(perSecond), () => {
      if (healed) return;
      strike[incident]();
      plan(incident, perSecond);
    });
  };
  for (const [incident, perSecond] of Object.entries(climate.perSecond))
    if (perSecond > 0) plan(incident as Incident, perSecond);

  return {
    heal: () => {
      healed = true;
      trace.note('nemesis', 'heals');
      world.climate = calmClimate;
      Object.assign(network.weather, calmClimate.weather);
      for (const mend of cuts) mend();
      for (const node of nodes) if (node.life() === undefined) bootLater(node);
    },
  };
}
