/** Which workflows each workflow depends on, all as `project/name`. */
export type DependencyGraph = ReadonlyMap<string, readonly string[]>;

/**
 * A circle of workflows that depend on each other, in the order in which a backfill would have to run them; undefined when there is none.
 * Names that the graph does not have depend on nothing. Linear.
 */
export function dependencyCycle(graph: DependencyGraph): string[] | undefined {
  const done = new Set<string>();
  for (const start of graph.keys()) {
    const trail: string[] = [];
    const onTrail = new Set<string>();
    const next: number[] = [];
    const enter = (name: string): void => {
      trail.push(name);
      onTrail.add(name);
      next.push(0);
    };
    if (!done.has(start)) enter(start);
    while (trail.length > 0) {
      const name = trail.at(-1) ?? '';
      const at = next.at(-1) ?? 0;
      const upstream = graph.get(name)?.[at];
      next[next.length - 1] = at + 1;
      if (upstream === undefined) {
        done.add(name);
        onTrail.delete(name);
        trail.pop();
        next.pop();
      } else if (onTrail.has(upstream)) return trail.slice(trail.indexOf(upstream)).toReversed();
      else if (!done.has(upstream)) enter(upstream);
    }
  }
  return undefined;
}

/**
 * The workflow and all that depend on it, directly or not, in an order in which each follows those of them that it depends on; names break ties.
 * The graph must have no circle.
 */
export function dependentsOf(root: string, graph: DependencyGraph): string[] {
  const downstream = new Map<string, string[]>();
  for (const [name, upstreams] of graph)
    for (const upstream of upstreams) downstream.set(upstream, [...(downstream.get(upstream) ?? []), name]);
  const members = new Set([root]);
  // A set grows while it is walked.
  for (const member of members) for (const name of downstream.get(member) ?? []) members.add(name);
  const order: string[] = [];
  const left = new Set(members);
  while (left.size > 0) {
    const free = [...left].filter((name) => !(graph.get(name) ?? []).some((upstream) => left.has(upstream)));
    if (free.length === 0) throw new Error(`${[...left].join(', ')} depend on each other`);
    for (const name of free.toSorted()) {
      order.push(name);
      left.delete(name);
    }
  }
  return order;
}
