import type { CompiledExpression } from '../expression/compile.ts';
import { compileExpression } from '../expression/compile.ts';
import { compileCondition, expressionsIn } from '../expression/evaluate.ts';
import type { TaskDefinition, WorkflowDefinition } from './model.ts';

/** One task, with everything about its place in the graph that a step needs. */
export interface TaskPlan {
  readonly definition: TaskDefinition;
  /** Ids of the tasks that it needs, in the order of the file. */
  readonly needs: readonly string[];
  /** Ids of the tasks that need it, in the order of the file. */
  readonly successors: readonly string[];
  /** Absent without an `if`. */
  readonly condition?: CompiledExpression;
  /** Ids of the tasks that `if` reads. */
  readonly conditionRefs: readonly string[];
  /** Ids of the tasks that `with` and `env` read, those of a broadcast's steps included. */
  readonly inputRefs: readonly string[];
  /** Names of the secrets that `with` and `env` read, likewise. */
  readonly secretRefs: readonly string[];
}

export interface WorkflowPlan {
  readonly definition: WorkflowDefinition;
  /** In the order of the file. */
  readonly tasks: ReadonlyMap<string, TaskPlan>;
  /** Ids of the tasks that need nothing. */
  readonly roots: readonly string[];
  readonly taskCount: number;
  /** Some task is a broadcast. */
  readonly broadcasts: boolean;
}

/** Derives the graph from a definition that is known to be valid, in time linear in its size. Throws an ExpressionError or an Error for an invalid one. */
export function compileWorkflow(definition: WorkflowDefinition): WorkflowPlan {
  const entries = Object.entries(definition.tasks);
  const successors = new Map<string, string[]>(entries.map(([id]) => [id, []]));
  for (const [id, task] of entries) {
    for (const need of Object.keys(task.needs)) {
      const list = successors.get(need);
      if (list === undefined) throw new Error(`task ${id} needs ${need}, which the definition does not have`);
      list.push(id);
    }
  }
  const tasks = new Map(entries.map(([id, task]) => [id, compileTask(task, successors.get(id) ?? [])]));
  const roots = entries.filter(([, task]) => Object.keys(task.needs).length === 0).map(([id]) => id);
  const broadcasts = entries.some(([, { broadcast }]) => broadcast !== undefined);
  return { definition, tasks, roots, taskCount: entries.length, broadcasts };
}

/** Something that a task does on a worker, and where in the definition it stands. */
export interface TaskAction extends Pick<TaskDefinition, 'uses' | 'with' | 'env'> {
  readonly path: string;
}

/** What a task does: itself, and the steps of a broadcast. */
export function actionsOf({ id, uses, with: input, env, broadcast }: TaskDefinition): TaskAction[] {
  const actions: TaskAction[] = [{ path: `tasks.${id}`, uses, with: input, env }];
  for (const step of ['before', 'after'] as const) {
    const found = broadcast?.[step];
    if (found !== undefined) actions.push({ path: `tasks.${id}.broadcast.${step}`, ...found });
  }
  return actions;
}

function compileTask(definition: TaskDefinition, successors: readonly string[]): TaskPlan {
  const inputRefs = new Set<string>();
  const secretRefs = new Set<string>();
  for (const { with: input, env } of actionsOf(definition)) {
    for (const text of expressionsIn([input, { ...env }])) {
      const { refs } = compileExpression(text);
      for (const task of refs.tasks) inputRefs.add(task);
      for (const secret of refs.secrets) secretRefs.add(secret);
    }
  }
  const condition = definition.if === undefined ? undefined : compileCondition(definition.if);
  return {
    definition,
    needs: Object.keys(definition.needs),
    successors,
    ...(condition && { condition }),
    conditionRefs: condition?.refs.tasks ?? [],
    inputRefs: [...inputRefs],
    secretRefs: [...secretRefs],
  };
}
