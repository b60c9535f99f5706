import type { WorkflowPlan } from '../definition/plan.ts';

/** Every task that needs `task`, directly or through others. Linear in what it answers. */
export function downstream(plan: WorkflowPlan, task: string): Set<string> {
  const reached = new Set<string>();
  const open = [task];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const successor of plan.tasks.get(next)?.successors ?? []) {
      if (reached.has(successor)) continue;
      reached.add(successor);
      open.push(successor);
    }
  }
  return reached;
}
