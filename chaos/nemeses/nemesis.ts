import type { ChaosCluster } from '../cluster/cluster.ts';
import type { Random } from '../random.ts';

/** What a fault did, so that a run in which nothing happened is not taken for a run that passed. */
export interface Bite {
  readonly bit: boolean;
  /** What was really seen. */
  readonly proof: string;
}

/** A fault that has begun. */
export interface Fault {
  /** Who or what it was put on. */
  readonly target: string;
  /** Ends it: afterwards everything is as it was before, or on its way there. */
  heal(): Promise<Bite>;
}

export interface Nemesis {
  readonly name: string;
  readonly summary: string;
  /** Seconds between its begin and its heal, least and most. */
  readonly holdSeconds: readonly [least: number, most: number];
  /** Why it cannot be had with this cluster on this machine; undefined when it can. */
  obstacle(cluster: ChaosCluster): string | undefined;
  /** @throws {NoVictim} when everything it could be put on suffers already */
  begin(scene: Scene): Promise<Fault>;
}

/** What a nemesis may touch. */
export interface Scene {
  readonly cluster: ChaosCluster;
  readonly random: Random;
  readonly victims: Victims;
  /** Something that the product did and must not do, seen on the spot. */
  complain(rule: string, detail: string): void;
}

/** Several faults at once are put on different things. */
export interface Victims {
  /** One of the candidates that suffers nothing yet; it is taken until `release`. */
  take<Node extends { readonly name: string }>(candidates: readonly Node[], random: Random): Node;
  release(victim: { readonly name: string }): void;
}

export class NoVictim extends Error {
  override readonly name = 'NoVictim';
}

export function createVictims(): Victims {
  const taken = new Set<string>();
  return {
    take: (candidates, random) => {
      const free = candidates.filter(({ name }) => !taken.has(name));
      if (free.length === 0) throw new NoVictim('everything it could be put on suffers already');
      const victim = random.pick(free);
      taken.add(victim.name);
      return victim;
    },
    release: ({ name }) => void taken.delete(name),
  };
}

/** Not a process, but nothing else may be done to it at the same time. */
export const DATABASE = { name: 'database' };

export const anywhere = (): undefined => undefined;
export const masters = ({ servers }: ChaosCluster) => servers.filter(({ roles }) => roles.includes('master'));
export const apis = ({ servers }: ChaosCluster) => servers.filter(({ roles }) => !roles.includes('master'));
