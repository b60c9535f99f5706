import type { GraphNode, IndirectRef } from './check-graph.ts';
import { orderTasks, refsNotUpstream } from './check-graph.ts';
import type { TaskChecks } from './check-tasks.ts';
import { checkTask, needIds, needPath } from './check-tasks.ts';
import { withoutExtensionsIn } from './extensions.ts';
import type { TaskFile } from './file-schema.ts';
import { taskSchema } from './file-schema.ts';
import { MAX_TASKS } from './limits.ts';
import type { ParamDefinition } from './model.ts';
import { checkIdentifier } from './names.ts';
import type { ReadContext } from './read-context.ts';
import type { Report } from './report.ts';
import { readBySchema } from './schema-issues.ts';

/** Reads and checks the `tasks` section and the graph that it makes. A task that cannot be read is left out of the result. */
export function readTasks(
  section: Readonly<Record<string, unknown>>,
  params: ReadonlyMap<string, ParamDefinition>,
  context: ReadContext,
): Map<string, TaskFile> {
  const { report, taskTypes, writtenAt } = context;
  const entries = Object.entries(section);
  const tasks = new Map<string, TaskFile>();
  if (entries.length > MAX_TASKS) {
    report.add({
      code: 'too-many-tasks',
      path: ['tasks'],
      atKey: true,
      message: `a workflow has at most ${MAX_TASKS} tasks; this one has ${entries.length}`,
      suggestion: 'split it into several workflows',
    });
    return tasks;
  }
  if (entries.length === 0 && !report.failed())
    report.add({ code: 'no-tasks', path: ['tasks'], atKey: true, message: 'a workflow needs at least one task' });
  const indirect: IndirectRef[] = [];
  const checks: TaskChecks = {
    ids: new Set(entries.map(([id]) => id)),
    params,
    taskTypes,
    writtenAt,
    report,
    indirect,
  };
  for (const [id, raw] of entries) {
    const path = ['tasks', id];
    checkIdentifier(id, 'a task', path, report);
    const file = readBySchema(taskSchema, withoutAnyExtensions(raw), path, report);
    if (file === undefined) continue;
    tasks.set(id, file);
    checkTask(id, file, checks);
  }
  checkGraph(tasks, indirect, report);
  return tasks;
}

function withoutAnyExtensions(raw: unknown): unknown {
  const task = withoutExtensionsIn(raw, ['retry', 'onLost', 'broadcast']);
  if (task === null || typeof task !== 'object' || !('broadcast' in task)) return task;
  return { ...task, broadcast: withoutExtensionsIn(task.broadcast, ['before', 'after']) };
}

function checkGraph(tasks: ReadonlyMap<string, TaskFile>, indirect: readonly IndirectRef[], report: Report): void {
  const nodes = new Map(
    [...tasks].map(([id, file]): [string, GraphNode] => [
      id,
      {
        id,
        needs: [...new Set(needIds(file))].filter((need) => need !== id && tasks.has(need)),
        needPath: (need) => needPath(id, file, need),
      },
    ]),
  );
  const order = orderTasks(nodes, report);
  if (order === undefined) return;
  // A task that could not be read has unknown needs: what may lie behind it is not judged.
  const readable = indirect.filter((ref) => nodes.has(ref.target) && nodes.has(ref.task));
  for (const { task, target, path } of refsNotUpstream(nodes, order, readable)) {
    report.add({
      code: 'not-upstream',
      path,
      message: `task ${task} reads tasks.${target}, but does not run after it`,
      suggestion: `add ${target} to the needs of ${task}`,
    });
  }
}
