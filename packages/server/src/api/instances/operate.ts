import { answerSkip, OPERATION_TABLE, TASK_OPERATION_TABLE, unknownTask as noSuchTask } from '@keelson/core';
import type { Operation, OperationAnswer } from '@keelson/core';
import type { LiveOperation, Store, TaskInstanceKey } from '@keelson/store';
import type { Answer, BeginRequest } from './begin-generation.ts';
import { beginGeneration, planGeneration } from './begin-generation.ts';
import { absentInstance, requireInstance } from './instances.ts';
import { refusal } from './operation-refusal.ts';

/** One operation, as the routes for one and for many instances take it. */
export type AskedOperation =
  | { readonly operation: 'pause' | 'resume' | 'stop' }
  | { readonly operation: 'skip'; readonly task: string }
  | { readonly operation: 'priority'; readonly priority: number }
  | BeginRequest;

type AskedOfLive = Exclude<AskedOperation, BeginRequest>;

/** Asks it of one instance. Throws an ApiError for whatever the table of operations refuses. */
export async function operate(store: Store, id: string, asked: AskedOperation, by: string): Promise<Answer> {
  if (isBegin(asked)) return beginGeneration(store, await planGeneration(store, id, asked), asked, by);
  if (asked.operation === 'skip') await requireTaskName(store, id, asked.task);
  const outcome = await store.operations.operate(id, liveOperation(asked), by);
  const name = coreName(asked);
  switch (outcome.kind) {
    case 'requested':
    case 'already':
      return { outcome: outcome.kind };
    case 'refused':
      throw refusal(id, OPERATION_TABLE[name][outcome.state]);
    case 'task-refused':
      throw refusal(id, TASK_OPERATION_TABLE['skip-task'][outcome.taskState], asked);
    case 'ended':
      throw refusal(id, OPERATION_TABLE[name].succeeded);
    case 'unknown':
      throw await absentInstance(store, id);
  }
}

/** What it would be answered now, without asking. Throws as `operate` does. */
export async function wouldAnswer(store: Store, id: string, asked: AskedOperation): Promise<Answer> {
  if (isBegin(asked)) {
    const { after } = await planGeneration(store, id, asked);
    return { outcome: 'requested', generation: after + 1 };
  }
  const found = await store.instances.get(id);
  if (found === undefined) throw await absentInstance(store, id);
  if (asked.operation === 'priority' && found.endedAt === null && found.priority === asked.priority)
    return { outcome: 'already' };
  const answer = OPERATION_TABLE[coreName(asked)][found.state];
  if (answer.kind === 'apply' && asked.operation === 'skip') {
    const task = await store.instances.task(await requireTaskName(store, id, asked.task));
    return answered(id, answerSkip(task?.state ?? 'waiting', task?.reason?.code), asked);
  }
  return answered(id, answer, asked);
}

function answered(id: string, answer: OperationAnswer, asked: AskedOfLive): Answer {
  if (answer.kind === 'refuse') throw refusal(id, answer, asked);
  return { outcome: answer.kind === 'apply' ? 'requested' : 'already' };
}

function isBegin(asked: AskedOperation): asked is BeginRequest {
  return ['rerun', 'recover', 'force-success'].includes(asked.operation);
}

function coreName({ operation }: AskedOfLive): Operation {
  if (operation === 'skip') return 'skip-task';
  return operation === 'priority' ? 'set-priority' : operation;
}

function liveOperation(asked: AskedOfLive): LiveOperation {
  switch (asked.operation) {
    case 'skip':
      return { type: 'skip-task', task: asked.task };
    case 'priority':
      return { type: 'set-priority', priority: asked.priority };
    default:
      return { type: asked.operation };
  }
}

/** Throws `unknown-instance` or `unknown-task`. */
async function requireTaskName(store: Store, id: string, task: string): Promise<TaskInstanceKey> {
  const key = await store.instances.findTask(id, task);
  if (key !== undefined) return key;
  await requireInstance(store, id);
  throw refusal(id, noSuchTask(task));
}
