import type { FailureReason, TaskResult } from './task-type.ts';

/** The worker protocol takes 8,192 characters. */
const MAX_MESSAGE_LENGTH = 8000;

/** A failed attempt; a message that is too long for its way to the server is cut. */
export function failed(
  code: string,
  message: string,
  details: Pick<FailureReason, 'exitCode' | 'signal'> = {},
): TaskResult {
  const short =
    message.length <= MAX_MESSAGE_LENGTH ? message : `${message.slice(0, MAX_MESSAGE_LENGTH).toWellFormed()}…`;
  return { outcome: 'failed', reason: { code, message: short, ...details } };
}
