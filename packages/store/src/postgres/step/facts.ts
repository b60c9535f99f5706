import { LRUCache } from 'lru-cache';
import type { InstanceFacts } from '../../engine.ts';

/** Facts of instances never change, so a process may keep them as long as it has room. */
export interface FactsCache {
  has(id: string): boolean;
  get(id: string): InstanceFacts | undefined;
  set(facts: InstanceFacts): void;
}

export function factsCache(most = 50_000): FactsCache {
  const cache = new LRUCache<string, InstanceFacts>({ max: most });
  return { has: (id) => cache.has(id), get: (id) => cache.get(id), set: (facts) => void cache.set(facts.id, facts) };
}
