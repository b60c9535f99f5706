import type { ValuePath } from '../expression/evaluate.ts';
import type { AccessOf, ActionChecks } from './check-action.ts';
import { checkAction } from './check-action.ts';
import type { TaskFile } from './file-schema.ts';
import { BROADCAST_TYPES } from './limits.ts';

/** Whether the task may be a broadcast, and the steps around its subtasks. */
export function checkBroadcast(file: TaskFile, path: ValuePath, access: AccessOf, checks: ActionChecks): void {
  const { report } = checks;
  const { mode = 'single', broadcast } = file;
  if (mode !== 'broadcast') {
    if (broadcast !== undefined)
      report.add({
        code: 'broadcast-without-mode',
        path: [...path, 'broadcast'],
        atKey: true,
        message: '"broadcast" says how a broadcast runs, but the task is none',
        suggestion: 'add mode: broadcast, or leave "broadcast" out',
      });
    return;
  }
  const uses = file.uses ?? 'shell';
  if (checks.taskTypes.has(uses) && !BROADCAST_TYPES.includes(uses))
    report.add({
      code: 'mode-not-allowed',
      path: [...path, 'mode'],
      message: `a task of the type ${uses} cannot be a broadcast: what it does does not depend on the worker`,
      suggestion: `the task types that can are ${BROADCAST_TYPES.join(', ')}`,
    });
  for (const step of ['before', 'after'] as const) {
    const action = broadcast?.[step];
    if (action === undefined) continue;
    const named = (subject: string) => access(`broadcast.${step}.${subject}`);
    // The task's own type goes on for a step that only says `with`.
    checkAction(action, [...path, 'broadcast', step], named, checks, action.with === undefined ? undefined : uses);
  }
}
