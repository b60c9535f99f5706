import { LRUCache } from 'lru-cache';
import type { GenerationKey, InstanceFacts } from '../../../engine.ts';
import { generationKey } from '../../../ids.ts';

/** Facts of instances never change within a generation, so a process may keep them as long as it has room. */
export interface FactsCache {
  has(key: GenerationKey): boolean;
  get(key: GenerationKey): InstanceFacts | undefined;
  set(facts: InstanceFacts): void;
}

export function factsCache(most = 50_000): FactsCache {
  // A bound by size, each of size 1: one by `max` would take its whole room at once.
  const cache = new LRUCache<string, InstanceFacts>({ maxSize: most, sizeCalculation: () => 1 });
  const keyOf = ({ instanceId, generation }: GenerationKey): string => generationKey(instanceId, generation);
  return {
    has: (key) => cache.has(keyOf(key)),
    get: (key) => cache.get(keyOf(key)),
    set: (facts) => void cache.set(generationKey(facts.id, facts.generation), facts),
  };
}
