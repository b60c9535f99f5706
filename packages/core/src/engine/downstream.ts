import type { WorkflowPlan } from '../definition/plan.ts';

/** Every task that needs one of these, directly or through others. Linear in what it answers. */
export function downstream(plan: WorkflowPlan, ...tasks: readonly string[]): Set<string> {
  const reached = new Set<string>();
  const open = [...tasks];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const successor of plan.tasks.get(next)?.successors ?? []) {
      if (reached.has(successor)) continue;
      reached.add(successor);
      open.push(successor);
    }
  }
  return reached;
}
