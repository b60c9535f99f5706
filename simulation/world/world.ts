import type { WorkflowDefinition } from '@keelson/core';
import type { WorkflowVersion } from '@keelson/store';
import { openMemoryDatabase } from '../../packages/store/src/memory/database.ts';
import type { MemoryDatabase } from '../../packages/store/src/memory/database.ts';
import { memoryKeep } from '../../packages/store/src/memory/keep.ts';
import type { MemoryKeep } from '../../packages/store/src/memory/keep.ts';
import { memoryBus } from '../../packages/store/src/memory/signals.ts';
import type { MemoryBus } from '../../packages/store/src/memory/signals.ts';
import { beginLife } from '../clock/life.ts';
import type { Life } from '../clock/life.ts';
import { openDice } from '../clock/random.ts';
import type { Dice } from '../clock/random.ts';
import { openTimeline } from '../clock/timeline.ts';
import type { Timeline } from '../clock/timeline.ts';
import { calmClimate } from '../faults/climate.ts';
import type { Climate } from '../faults/climate.ts';
import { openNetwork } from '../network/network.ts';
import type { Network } from '../network/network.ts';
import type { Node } from '../nodes/node.ts';
import { openTrace } from '../trace/trace.ts';
import type { Trace } from '../trace/trace.ts';
import type { Moods } from '../workload/behaviour.ts';
import { openLedger } from './ledger.ts';
import type { Ledger, LedgerWatch } from './ledger.ts';
import type { Violation } from './violation.ts';

export const JOIN_TOKEN = 'join';
/** The database's place in the network. */
export const DATABASE = 'db';

/** Everything that the nodes of one simulated cluster share. */
export interface World {
  readonly seed: number;
  readonly timeline: Timeline;
  readonly dice: Dice;
  readonly trace: Trace;
  readonly network: Network;
  readonly database: MemoryDatabase;
  /** How far the database's clock is ahead, in milliseconds, and until when it is down. */
  readonly databaseState: { ahead: number; downUntil: number };
  readonly keep: MemoryKeep;
  readonly bus: MemoryBus;
  readonly ledger: Ledger;
  /** What goes wrong now; replaced by a calm one at the end of the fault phase. */
  climate: Climate;
  readonly servers: readonly string[];
  readonly moods: Moods;
  /** The next process of a node. */
  beginLife(node: string): Life;
  rateOf(node: string): number;
  /** A process has ended by itself. */
  gone(node: Node): void;
  /** Called when one has. */
  onGone(heard: (node: Node) => void): void;
  definitionOf(versionId: string): WorkflowDefinition | undefined;
  addVersion(definition: WorkflowDefinition): WorkflowVersion;
  /** Only the first one counts: what follows it may be its consequence. */
  violated(rule: string, message: string, instanceId?: string): void;
  readonly violation: Violation | undefined;
}

export interface WorldOptions {
  readonly seed: number;
  readonly servers: readonly string[];
  readonly moods: Moods;
  readonly keepTrace: boolean;
  readonly print?: ((line: string) => void) | undefined;
  watch(world: () => World): LedgerWatch;
}

export function openWorld({ seed, servers, moods, keepTrace, print, watch }: WorldOptions): World {
  const dice = openDice(seed);
  const timeline = openTimeline(dice.stream('timeline'));
  const trace = openTrace(timeline.now, keepTrace, print);
  const network = openNetwork(timeline, dice.stream('network'), trace);
  const databaseState = { ahead: 0, downUntil: -Infinity };
  const database = openMemoryDatabase({
    clock: { now: () => EPOCH_MS + timeline.now() + databaseState.ahead, after: timeline.after },
    pause: pauses(timeline, dice.stream('pauses')),
  });
  const keep = memoryKeep();
  keep.addToken(JOIN_TOKEN, { id: '1', name: 'join', role: 'worker' });
  const signals = dice.stream('signals');
  const versions = new Map<string, WorkflowVersion>();
  const lives = new Map<string, number>();
  const rates = new Map<string, number>();
  const mourners: ((node: Node) => void)[] = [];
  let violation: Violation | undefined;
  const world: World = {
    seed,
    timeline,
    dice,
    trace,
    network,
    database,
    databaseState,
    keep,
    servers,
    moods,
    climate: calmClimate,
    bus: memoryBus({ soon: (run) => void timeline.after(0, run) }, ({ from, to }, arrive) => {
      if (signals.chance(world.climate.lostSignals)) return;
      const life = network.listeners.get(nodeOf(to))?.life;
      if (network.isCut(nodeOf(from), DATABASE) || network.isCut(DATABASE, nodeOf(to))) return;
      timeline.after(network.latency(), () => (life?.name === to ? life.deliver(arrive) : undefined));
    }),
    ledger: openLedger(
      timeline.now,
      watch(() => world),
    ),
    beginLife: (node) => {
      const number = (lives.get(node) ?? 0) + 1;
      lives.set(node, number);
      const name = `${node}#${number}`;
      trace.note(name, 'starts');
      return beginLife(timeline, { name, node, dice: dice.stream(name), rate: world.rateOf(node) });
    },
    rateOf: (node) => {
      const rate = rates.get(node) ?? 1 + dice.stream(`rate of ${node}`).between(-0.0005, 0.0005);
      rates.set(node, rate);
      return rate;
    },
    gone: (node) => mourners.forEach((heard) => heard(node)),
    onGone: (heard) => void mourners.push(heard),
    definitionOf: (versionId) => versions.get(versionId)?.definition,
    addVersion: (definition) => {
      const version = keep.addVersion(definition);
      versions.set(version.id, version);
      return version;
    },
    violated: (rule, message, instanceId) => {
      violation ??= { rule, message, at: timeline.now(), ...(instanceId === undefined ? {} : { instanceId }) };
      trace.note('VIOLATION', `${rule}: ${message}`);
    },
    get violation() {
      return violation;
    },
  };
  return world;
}

/** 2026-01-01, so that times of rows look like times. */
const EPOCH_MS = 1_767_225_600_000;

/** `s1#2` → `s1`. */
function nodeOf(life: string): string {
  return life.split('#')[0] ?? '';
}

/** Now and then a statement lets others go on in its middle. */
function pauses(timeline: Timeline, dice: Dice): () => Promise<void> | undefined {
  return () => (dice.chance(0.02) ? timeline.sleep(dice.between(0.01, 2)) : undefined);
}
