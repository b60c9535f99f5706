import type { Call } from '../../connection/session.ts';
import type { Decided, Push } from './decided.ts';
import { writeBroadcasts, writeFinishedSubtasks, writeSubtasks } from './write-broadcasts.ts';
import {
  deletesLive,
  writeAlerts,
  writeAppliedCommands,
  writeEnds,
  writeHistory,
  writeLive,
} from './write-instances.ts';
import { releasesHeld, writeHeld, writeHolds, writeReleases, writeShifts, writeTakeBacks } from './write-held.ts';
import { writeBound, writeDelayed, writeReady, writeSettles, writeWithdrawals } from './write-line.ts';
import { writeCarried, writeCounters, writeEndedRuns } from './write-tasks.ts';

export interface WrittenCalls {
  readonly calls: readonly Call[];
  /** Index of the call that lets held tasks go, if one does; else -1. */
  readonly releaseAt: number;
  /** Index of the first call that binds or hands over subtasks; what follows up to `bindAt` are such. */
  readonly subtasksAt: number;
  /** Index of the binding call, if something was offered; else that of the first claim. */
  readonly bindAt: number;
  /** Index of the first claim. */
  readonly claimsAt: number;
  /** Index of the call that answers which follow-ups the ends left, if something ended; else -1. */
  readonly endsAt: number;
}

/**
 * The calls that write a batch, in an order that keeps its own reads right. Claims come after what lines tasks up and before what ends
 * instances, so that incarnations are always locked before live rows are deleted.
 */
export function writeCalls(
  decided: readonly Decided[],
  commandIds: readonly string[],
  claims: readonly Call[],
): WrittenCalls {
  const calls: Call[] = [];
  const push: Push = (rows, make) => {
    if (rows.length > 0) calls.push(make());
  };
  const ended = decided.filter(({ changes }) => changes.end !== undefined);
  const going = decided.filter(({ changes }) => changes.end === undefined);
  writeCarried(decided, push);
  writeAppliedCommands(commandIds, push);
  writeLive(going, push);
  writeFinishedSubtasks(decided, push);
  writeEndedRuns(decided, push);
  writeBroadcasts(decided, push);
  writeCounters(decided, push);
  writeHistory(decided, push);
  // Before anything new is put in line: what `onFailure: end` starts must not be taken back with the rest.
  writeShifts(decided, push);
  writeWithdrawals(decided, push);
  writeHolds(decided, push);
  writeReleases(decided, push);
  writeTakeBacks(decided, push);
  writeSettles(decided, push);
  writeHeld(decided, push);
  writeDelayed(decided, push);
  writeReady(decided, push);
  const subtasksAt = calls.length;
  writeSubtasks(decided, push);
  const bindAt = calls.length;
  writeBound(decided, push);
  const claimsAt = calls.length;
  calls.push(...claims);
  writeEnds(ended, push);
  writeAlerts(decided, push);
  const releaseAt = calls.findIndex(releasesHeld);
  return { calls, releaseAt, subtasksAt, bindAt, claimsAt, endsAt: calls.findIndex(deletesLive) };
}
