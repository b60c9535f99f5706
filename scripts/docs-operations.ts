/** Tables of docs/operating.md: what the engine answers to each operation, from the table that it answers by. */
import { OPERATION_TABLE, TASK_OPERATION_TABLE } from '@keelson/core';
import type { InstanceState, Operation, OperationAnswer, TaskState } from '@keelson/core';
import { markdownTable } from './markdown-table.ts';

/** As people call them. */
const NAMES: Readonly<Record<Operation, string>> = {
  pause: '`pause`',
  resume: '`resume`',
  stop: '`stop`',
  'set-priority': '`priority`',
  'skip-task': '`skip` of a task',
  rerun: '`rerun`',
  from: '`rerun --from`',
  only: '`rerun --only`',
  recover: '`recover`',
  'force-success': '`force-success` of a task',
};
const INSTANCE_STATES = Object.keys(OPERATION_TABLE.stop) as InstanceState[];
const TASK_STATES = Object.keys(TASK_OPERATION_TABLE['skip-task']) as TaskState[];

export function operationTable(): string {
  const rows = (Object.keys(NAMES) as Operation[]).map((operation) => [
    NAMES[operation],
    ...INSTANCE_STATES.map((state) => answerText(OPERATION_TABLE[operation][state])),
  ]);
  return markdownTable(['', ...INSTANCE_STATES.map((state) => `\`${state}\``)], rows);
}

export function taskOperationTable(): string {
  const rows = TASK_STATES.map((state) => [
    `\`${state}\``,
    answerText(TASK_OPERATION_TABLE['skip-task'][state]),
    answerText(TASK_OPERATION_TABLE['force-success'][state]),
  ]);
  return markdownTable(['the task is', '`skip`', '`force-success`'], rows);
}

function answerText(answer: OperationAnswer): string {
  if (answer.kind === 'refuse') return `409 \`${answer.code}\``;
  return answer.kind === 'apply' ? '**yes**' : 'already';
}
