import type { Life } from '../clock/life.ts';
import type { Dice } from '../clock/random.ts';
import type { ClientNode } from '../nodes/client-node.ts';
import type { Node } from '../nodes/node.ts';
import type { ServerNode } from '../nodes/server-node.ts';
import type { World } from '../world/world.ts';
import type { Climate, Incident } from './climate.ts';
import { calmClimate } from './climate.ts';
import { jump, restartDatabase } from './database.ts';
import { openLinks } from './links.ts';

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
  const links = openLinks(world, nodes, dice);
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
  const strike: Readonly<Record<Incident, () => void>> = {
    'crash-server': () => crash(dice.pick(cluster.servers)),
    'crash-worker': () => crash(dice.pick(cluster.workers)),
    'crash-client': () => crash(cluster.client),
    'restart-server': () => void restart(dice.pick(cluster.servers)),
    'restart-worker': () => void restart(dice.pick(cluster.workers)),
    'restart-database': () => restartDatabase(world, dice),
    'pause-server': () => pause(dice.pick(cluster.servers)),
    'pause-worker': () => pause(dice.pick(cluster.workers)),
    'stutter-worker': () => stutter(world, dice.pick(cluster.workers), dice),
    cut: () => links.cut(true),
    'one-way-cut': () => links.cut(false),
    'clock-jump': () => jump(world, dice),
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
      links.mendAll();
      for (const node of nodes) if (node.life() === undefined) bootLater(node);
    },
  };
}

/**
 * Long pauses with short moments between them: enough to hear an answer, not enough to do something about it. Some begin while the answer to
 * a renewal is under way, when the lease is counted from.
 */
function stutter(world: World, node: Node, dice: Dice): void {
  const life = node.life();
  if (life === undefined) return;
  if (dice.chance(0.4)) {
    const pauses = Array.from({ length: dice.whole(2, 4) }, () => dice.between(300, 12_000));
    return pauseAgainAndAgain(world, life, pauses, dice.between(1, 200));
  }
  life.onCall = (path) => {
    if (path !== 'renew') return;
    life.onCall = undefined;
    pauseAgainAndAgain(world, life, [dice.between(300, 2400), dice.between(8000, 14_000)], dice.between(1, 40));
  };
}

function pauseAgainAndAgain(
  { timeline, trace }: World,
  life: Life,
  pauses: readonly number[],
  betweenMs: number,
): void {
  let at = 0;
  for (const ms of pauses) {
    timeline.after(at, () => {
      if (!life.alive) return;
      trace.note(life.name, `stutters: is paused for ${ms.toFixed(0)} ms`);
      life.pause(ms);
    });
    at += ms + betweenMs;
  }
}
