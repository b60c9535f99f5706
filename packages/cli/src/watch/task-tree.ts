/** A task and those that it waits for, in the order of the definition. */
export interface TreeTask {
  readonly task: string;
  readonly needs: readonly string[];
}

export interface TreeRow {
  readonly task: string;
  /** Lines that lead to it: `├─ `, `│  └─ `. */
  readonly prefix: string;
  /** Needs beside the one that it hangs under. */
  readonly alsoNeeds: readonly string[];
}

/** Deeper branches stay at this depth: a terminal is only so wide. */
const DEEPEST = 8;

/**
 * Draws a DAG as a tree: each task hangs under the deepest of its needs, and a chain stays in one column. Linear in the
 * size of the graph; needs that are not in the list are left out.
 */
export function layoutTree(tasks: readonly TreeTask[]): TreeRow[] {
  const parents = chooseParents(tasks);
  const children = new Map<string | undefined, TreeTask[]>();
  for (const task of tasks) {
    const parent = parents.get(task.task);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [task]);
    else siblings.push(task);
  }
  const rows: TreeRow[] = [];
  // Each entry: a task, what stands before its own line, and before the lines below it.
  const stack = (children.get(undefined) ?? []).toReversed().map((task) => ({ task, own: '', below: '', depth: 0 }));
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { task, own, below, depth } = top;
    const parent = parents.get(task.task);
    rows.push({
      task: task.task,
      prefix: own,
      alsoNeeds: parent === undefined ? [] : task.needs.filter((need) => need !== parent),
    });
    const next = children.get(task.task) ?? [];
    const chain = next.length === 1 || depth >= DEEPEST;
    for (const [index, child] of [...next.entries()].toReversed()) {
      if (chain) stack.push({ task: child, own: below, below, depth });
      else {
        const last = index === next.length - 1;
        stack.push({
          task: child,
          own: `${below}${last ? '└─ ' : '├─ '}`,
          below: `${below}${last ? '   ' : '│  '}`,
          depth: depth + 1,
        });
      }
    }
  }
  return rows;
}

/** The deepest need of each task; undefined for a root. */
function chooseParents(tasks: readonly TreeTask[]): Map<string, string | undefined> {
  const byName = new Map(tasks.map((task) => [task.task, task]));
  const depths = new Map<string, number>();
  const parents = new Map<string, string | undefined>();
  for (const start of tasks) {
    const path = [start];
    const onPath = new Set([start.task]);
    for (let task = path.at(-1); task !== undefined; task = path.at(-1)) {
      const needs = task.needs.flatMap((need) => byName.get(need) ?? []);
      const unknown = depths.has(task.task)
        ? undefined
        : needs.find((need) => !depths.has(need.task) && !onPath.has(need.task));
      if (unknown !== undefined) {
        path.push(unknown);
        onPath.add(unknown.task);
        continue;
      }
      path.pop();
      onPath.delete(task.task);
      if (depths.has(task.task)) continue;
      let parent: string | undefined;
      let depth = -1;
      for (const need of needs) {
        const needDepth = depths.get(need.task) ?? -1;
        if (needDepth > depth) [parent, depth] = [need.task, needDepth];
      }
      parents.set(task.task, parent);
      depths.set(task.task, depth + 1);
    }
  }
  return parents;
}
