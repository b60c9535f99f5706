import { setTimeout as delay } from 'node:timers/promises';
import type { ChaosCluster } from './cluster/cluster.ts';
import type { Injection } from './injection.ts';
import { SEVERAL } from './nemeses/all.ts';
import { NoVictim, createVictims } from './nemeses/nemesis.ts';
import type { Fault, Nemesis, Scene } from './nemeses/nemesis.ts';
import type { Random } from './random.ts';

/** One place in the schedule: what begins together, and for how long it is held. */
export interface Round {
  readonly group: string;
  readonly nemeses: readonly Nemesis[];
  readonly holdMs: number;
  /** Quiet after the heal. */
  readonly restMs: number;
}

/** An endless schedule: every nemesis comes once before any comes twice, and now and then several come at once. */
export function* drawRounds(
  nemeses: readonly Nemesis[],
  withSeveral: boolean,
  random: Random,
): Generator<Round, never> {
  for (;;) {
    const bag: (Nemesis | undefined)[] = [...nemeses];
    if (withSeveral && nemeses.length > 1) for (let place = 0; place < nemeses.length; place += 4) bag.push(undefined);
    for (const nemesis of random.shuffled(bag)) {
      const chosen = nemesis === undefined ? random.shuffled(nemeses).slice(0, random.between(2, 3)) : [nemesis];
      const holdMs = Math.max(
        ...chosen.map(({ holdSeconds: [least, most] }) => (least + random.next() * (most - least)) * 1000),
      );
      const group = nemesis?.name ?? SEVERAL;
      yield { group, nemeses: chosen, holdMs, restMs: random.between(2000, 6000) };
    }
  }
}

export interface Faults {
  readonly injections: readonly Injection[];
  /** Puts the round on the cluster, holds it, heals it. Aborted, it heals at once. */
  run(round: Round, signal: AbortSignal): Promise<void>;
}

export interface FaultOptions {
  readonly cluster: ChaosCluster;
  readonly random: Random;
  readonly complain: Scene['complain'];
  readonly say: (line: string) => void;
}

export function createFaults({ cluster, random, complain, say }: FaultOptions): Faults {
  const injections: Injection[] = [];
  const scene: Scene = { cluster, random, victims: createVictims(), complain };

  const begin = async (
    nemesis: Nemesis,
    group: string,
  ): Promise<{ fault: Fault; injection: Injection } | undefined> => {
    const beganAt = Date.now();
    try {
      const fault = await nemesis.begin(scene);
      const injection = {
        nemesis: nemesis.name,
        group,
        target: fault.target,
        beganAt,
        healedAt: 0,
        bit: false,
        proof: '',
      };
      injections.push(injection);
      say(`${nemesis.name}: ${fault.target}`);
      return { fault, injection };
    } catch (error) {
      if (error instanceof NoVictim) return undefined;
      complain('campaign', `${nemesis.name} could not begin: ${String(error)}`);
      return undefined;
    }
  };
  const heal = async ({ fault, injection }: { fault: Fault; injection: Injection }): Promise<void> => {
    try {
      Object.assign(injection, await fault.heal());
    } catch (error) {
      complain('recovery', `after ${injection.nemesis} on ${injection.target}: ${String(error)}`);
      injection.proof = String(error);
    }
    injection.healedAt = Date.now();
    const seconds = ((injection.healedAt - injection.beganAt) / 1000).toFixed(1);
    say(`${injection.nemesis} healed after ${seconds} s: ${injection.bit ? '' : 'DID NOT BITE: '}${injection.proof}`);
  };

  return {
    injections,
    run: async ({ group, nemeses, holdMs, restMs }, signal) => {
      const begun = await Promise.all(nemeses.map((nemesis) => begin(nemesis, group)));
      await delay(holdMs, undefined, { signal }).catch(() => undefined);
      // Together: one that waits for its process may need what another gives back.
      await Promise.all(begun.flatMap((each) => (each === undefined ? [] : [heal(each)])));
      await delay(restMs, undefined, { signal }).catch(() => undefined);
    },
  };
}
