import type { StepOutcome } from '@keelson/store';
import type { MasterContext } from './context.ts';
import type { Handover } from './handover.ts';

/**
 * Everything that follows from a committed step, outside the database: hand over what was bound, wake who must look. Resolves when the
 * assignments wait in their outboxes; the next step need not wait for that.
 */
export function follow(
  context: MasterContext,
  handover: Handover,
  outcome: StepOutcome,
  offers: readonly string[],
): Promise<void> {
  const { signals, line, metrics, wake } = context;
  metrics.steps++;
  keepOffers(context, outcome, offers);
  const handedOver = handover.bound(outcome.bound);
  for (const kind of outcome.waiting) line.grew(kind);
  for (const group of new Set(outcome.waiting.map(({ workerGroup }) => workerGroup))) signals.send('ready', group);
  if (!line.isAllEmpty()) wake.claims();
  if (outcome.delayed) wake.due();
  for (const id of outcome.killing) signals.send('kill', id);
  if (outcome.alerts) signals.send('alert');
  return handedOver;
}

/** Offers that came to nothing, because the worker was no longer alive in the transaction, are free again. */
function keepOffers({ sessions }: MasterContext, outcome: StepOutcome, offers: readonly string[]): void {
  const left = new Map<string, number>();
  for (const id of offers) left.set(id, (left.get(id) ?? 0) + 1);
  for (const { incarnationId } of outcome.bound) left.set(incarnationId, (left.get(incarnationId) ?? 0) - 1);
  for (const [id, count] of left) for (let index = 0; index < count; index++) sessions.takeBack(id);
}
