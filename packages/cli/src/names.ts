import { usageFailure } from './failure.ts';

/** Stricter than a URL, which would take `..` for a way up. */
const NAME = /^[a-z0-9][a-z0-9-]*$/;

/** Reads `[project/]workflow`. */
export function parseWorkflowName(text: string): { project: string; workflow: string } {
  const parts = text.split('/');
  const [first = '', second] = parts;
  if (parts.length > 2 || !parts.every((part) => NAME.test(part)))
    throw usageFailure(
      `${JSON.stringify(text)} is no name of a workflow`,
      'a name is WORKFLOW or PROJECT/WORKFLOW, each of a-z, 0-9 and -',
    );
  return second === undefined ? { project: 'default', workflow: first } : { project: first, workflow: second };
}

/** What a person names a task instance by: its id, or `INSTANCE/task`. */
export type TaskName =
  | { readonly kind: 'id'; readonly id: string }
  | { readonly kind: 'task'; readonly instanceId: string; readonly task: string };

export function parseTaskName(text: string): TaskName {
  const slash = text.indexOf('/');
  if (slash === -1) return { kind: 'id', id: text };
  const instanceId = text.slice(0, slash);
  const task = text.slice(slash + 1);
  if (instanceId === '' || task === '' || task.includes('/'))
    throw usageFailure(
      `${JSON.stringify(text)} names no task`,
      'a task is INSTANCE/TASK, or the id of a task instance',
    );
  return { kind: 'task', instanceId, task };
}
