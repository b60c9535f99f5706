import type { Document, Node, Pair, YAMLMap } from 'yaml';
import { isAlias, isCollection, isMap, isPair, isScalar, isSeq } from 'yaml';

import type { ValuePath } from '../expression/evaluate.ts';

/** Where a node starts in the text; undefined for what stands nowhere. */
export function startOf(node: unknown): number | undefined {
  return isScalar(node) || isCollection(node) || isAlias(node) ? (node.range?.[0] ?? undefined) : undefined;
}

/** A key as the text that it means; empty for one that is no text. */
export function keyText(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : '';
}

/** Finds nodes by path; each map is indexed at its first use, so that many issues in one large map cost no more than one. */
export function createFinder(
  document: Document.Parsed,
  anchors: ReadonlyMap<string, Node>,
): { offsetOf: (path: ValuePath, atKey: boolean) => number; writtenAt: (path: ValuePath) => string | undefined } {
  const indexes = new WeakMap<YAMLMap, Map<string, Pair>>();
  const resolve = (node: unknown): unknown => (isAlias(node) ? anchors.get(node.source) : node);

  function pairOf(map: YAMLMap, key: string): Pair | undefined {
    let index = indexes.get(map);
    if (index === undefined) indexes.set(map, (index = new Map(map.items.map((pair) => [keyText(pair), pair]))));
    const own = index.get(key);
    if (own !== undefined) return own;
    const merged = resolve(index.get('<<')?.value);
    const sources = isSeq(merged) ? merged.items.map(resolve) : [merged];
    for (const source of sources) {
      const pair = isMap(source) && source !== map ? pairOf(source, key) : undefined;
      if (pair !== undefined) return pair;
    }
    return undefined;
  }

  /** The node at the path, or the deepest one on the way to it. */
  function find(path: ValuePath): { node: unknown; pair: Pair | undefined; whole: boolean } {
    let node: unknown = resolve(document.contents);
    let pair: Pair | undefined;
    for (const key of path) {
      const nextPair = isMap(node) ? pairOf(node, String(key)) : undefined;
      const next = nextPair ?? (isSeq(node) && typeof key === 'number' ? node.items[key] : undefined);
      if (next === undefined) return { node, pair, whole: false };
      pair = nextPair;
      node = resolve(isPair(next) ? next.value : next);
    }
    return { node, pair, whole: true };
  }

  return {
    offsetOf(path, atKey) {
      const { node, pair, whole } = find(path);
      const key = startOf(pair?.key);
      // A missing key is shown at the key of the map that lacks it.
      return (atKey || !whole ? key : undefined) ?? startOf(node) ?? key ?? 0;
    },
    writtenAt(path) {
      const { node, whole } = find(path);
      return whole && isScalar(node) ? node.source : undefined;
    },
  };
}
