import type { ValuePath } from '../expression/evaluate.ts';
import type { Report } from './report.ts';

/** One task's place in the graph: which tasks it needs (known ids only), in the order of the file. */
export interface GraphNode {
  readonly id: string;
  readonly needs: readonly string[];
  /** Where the need of another task stands in the file. */
  readonly needPath: (need: string) => ValuePath;
}

/** An expression of `task` that reads `target`, which it does not name in its own needs. */
export interface IndirectRef {
  readonly task: string;
  readonly target: string;
  readonly path: ValuePath;
}

const MAX_CYCLES = 10;
const MAX_CYCLE_SHOWN = 12;

/**
 * Ids in an order in which every task follows what it needs; undefined when there are cycles, which are then in the
 * report. Linear.
 */
export function orderTasks(nodes: ReadonlyMap<string, GraphNode>, report: Report): string[] | undefined {
  const open = new Map<string, number>();
  const successors = new Map<string, string[]>();
  for (const { id, needs } of nodes.values()) {
    open.set(id, needs.length);
    for (const need of needs) {
      const list = successors.get(need);
      if (list === undefined) successors.set(need, [id]);
      else list.push(id);
    }
  }
  const order = [...nodes.keys()].filter((id) => open.get(id) === 0);
  // The array grows while it is walked: it is queue and result in one.
  for (const id of order) {
    for (const successor of successors.get(id) ?? []) {
      const left = (open.get(successor) ?? 0) - 1;
      open.set(successor, left);
      if (left === 0) order.push(successor);
    }
  }
  if (order.length === nodes.size) return order;
  for (const id of order) open.delete(id);
  reportCycles(nodes, new Set(open.keys()), report);
  return undefined;
}

/** Every task in `stuck` needs another one in it, so that following needs from any of them must come back. */
function reportCycles(nodes: ReadonlyMap<string, GraphNode>, stuck: Set<string>, report: Report): void {
  const explored = new Set<string>();
  let reported = 0;
  for (const start of stuck) {
    const trail = new Map<string, number>();
    let at: string | undefined = start;
    while (at !== undefined && !trail.has(at) && !explored.has(at)) {
      trail.set(at, trail.size);
      at = nodes.get(at)?.needs.find((need) => stuck.has(need));
    }
    const from = at === undefined ? undefined : trail.get(at);
    for (const id of trail.keys()) explored.add(id);
    if (from === undefined) continue;
    reportCycle(nodes, [...trail.keys()].slice(from), report);
    if (++reported === MAX_CYCLES) return;
  }
}

/** `needed` follows needs, so that the order in which tasks would run is the reverse. */
function reportCycle(nodes: ReadonlyMap<string, GraphNode>, needed: readonly string[], report: Report): void {
  const running = fromFirst(nodes, needed.toReversed());
  const first = running[0] ?? '';
  const names =
    running.length <= MAX_CYCLE_SHOWN
      ? running
      : [
          ...running.slice(0, MAX_CYCLE_SHOWN - 1),
          `… (${running.length - MAX_CYCLE_SHOWN} more)`,
          running.at(-1) ?? '',
        ];
  const last = running.at(-1) ?? first;
  report.add({
    code: 'cycle',
    path: nodes.get(first)?.needPath(last) ?? ['tasks', first],
    message: `these tasks wait for each other: ${[...names, first].join(' → ')}`,
    suggestion: 'take one of these needs away',
  });
}

/** The cycle, turned so that it starts with the task that stands first in the file. */
function fromFirst(nodes: ReadonlyMap<string, GraphNode>, cycle: readonly string[]): string[] {
  const members = new Set(cycle);
  const first = [...nodes.keys()].find((id) => members.has(id)) ?? '';
  const at = cycle.indexOf(first);
  return [...cycle.slice(at), ...cycle.slice(0, at)];
}

const BITS = 32;

/**
 * The references whose target is not upstream. `order` is from `orderTasks`. Thirty-two targets share one pass over
 * the graph, so that the worst file stays cheap: a pass per target would be quadratic.
 */
export function refsNotUpstream(
  nodes: ReadonlyMap<string, GraphNode>,
  order: readonly string[],
  refs: readonly IndirectRef[],
): IndirectRef[] {
  const byTarget = Map.groupBy(refs, (ref) => ref.target);
  const targets = [...byTarget.keys()];
  const bad: IndirectRef[] = [];
  const index = new Map(order.map((id, position) => [id, position]));
  const needs = order.map((id) => Int32Array.from(nodes.get(id)?.needs ?? [], (need) => index.get(need) ?? 0));
  const upstream = new Uint32Array(order.length);
  for (let from = 0; from < targets.length; from += BITS) {
    const batch = targets.slice(from, from + BITS);
    const own = new Map(batch.map((target, bit) => [index.get(target), 1 << bit]));
    for (let position = 0; position < order.length; position++) {
      let mask = 0;
      for (const need of needs[position] ?? []) mask |= (upstream[need] ?? 0) | (own.get(need) ?? 0);
      upstream[position] = mask;
    }
    for (const [bit, target] of batch.entries()) {
      for (const ref of byTarget.get(target) ?? [])
        if (((upstream[index.get(ref.task) ?? 0] ?? 0) & (1 << bit)) === 0) bad.push(ref);
    }
  }
  return bad;
}
