import { OPERATION_TABLE } from '@keelson/core';
import type { InstanceState, Operation, OperationAnswer } from '@keelson/core';
import { ApiError } from '@keelson/protocol';

/** The words of the table, about this instance. */
export function refusal(
  id: string,
  answer: OperationAnswer,
  about: { readonly task?: string } | object = {},
): ApiError {
  // Between the store's look and this one the table cannot have changed its mind; a command of somebody else may have.
  if (answer.kind !== 'refuse') return new ApiError('conflict', `instance ${id} is changing just now`);
  const task = 'task' in about && about.task !== undefined ? `task ${about.task} of instance ${id}: ` : '';
  return new ApiError(answer.code, task + answer.message.replace(/^the instance(?!')/, `instance ${id}`));
}

/** Undefined: in this state it may be asked. */
export function stateRefusal(id: string, operation: Operation, state: InstanceState): ApiError | undefined {
  const answer = OPERATION_TABLE[operation][state];
  return answer.kind === 'refuse' ? refusal(id, answer) : undefined;
}
