import type { Reason } from '@keelson/core';
import type { BroadcastPart } from '@keelson/protocol';
import type { BoundAttempt, BroadcastRow } from '@keelson/store';

/** What `after` is handed of its subtasks at the most: an assignment is one answer, and read whole. */
export const MOST_RESULT_BYTES = 16 * 1024 * 1024;

/**
 * Which part of its broadcast an attempt is, by the row as it is now. An attempt that the row does not fit any more has ended, and is
 * refused like one whose input cannot be made.
 */
export function broadcastPartOf(
  { subtaskIndex }: BoundAttempt,
  row: BroadcastRow | undefined,
  worker: string,
): BroadcastPart | Reason {
  if (row === undefined || (row.phase === 'fan') !== (subtaskIndex !== undefined))
    return { code: 'not-active', message: 'the broadcast has gone on without this attempt' };
  const { total, outputs: before, results } = row;
  if (subtaskIndex !== undefined) return { phase: 'subtask', index: subtaskIndex, total, worker, before };
  if (row.phase === 'before') return { phase: 'before' };
  if (results === null || Buffer.byteLength(JSON.stringify(results)) > MOST_RESULT_BYTES)
    return {
      code: 'results-too-large',
      message: `the outputs of the ${total} subtasks have more than ${MOST_RESULT_BYTES} bytes together, and "after" takes no more: let them put files elsewhere and output their places`,
    };
  return { phase: 'after', total, before, results: [...results] };
}
