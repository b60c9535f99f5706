import type { BoundAttempt, StepInput, StepOutcome } from '@keelson/store';
import type { MasterContext } from './context.ts';
import type { Handover } from './handover.ts';
import { createMind } from './mind.ts';
import type { Mind } from './mind.ts';

/** A step that was committed, and when what it handed over waits in the outboxes of its workers. */
export interface Followed {
  readonly outcome: StepOutcome;
  readonly handedOver: Promise<void>;
}

/**
 * Runs one step and everything that follows from it outside the database: keeps or takes back what was promised of the workers' slots,
 * hands over, wakes who must look. Throws what the step throws.
 */
export async function stepAndFollow(context: MasterContext, handover: Handover, input: StepInput): Promise<Followed> {
  const mind = createMind(context);
  try {
    const outcome = await context.store.engine.step(input, mind);
    return { outcome, handedOver: follow(context, handover, outcome, mind) };
  } catch (error) {
    breakPromises(context, mind.promised);
    throw error;
  }
}

function follow(context: MasterContext, handover: Handover, outcome: StepOutcome, mind: Mind): Promise<void> {
  const { signals, line, metrics, wake } = context;
  metrics.steps++;
  const bound = [...outcome.bound, ...outcome.claimed.flatMap((claim) => claim.bound)];
  keepPromises(context, mind.promised, bound);
  const handedOver = handover.bound(bound);
  mind.claiming.forEach(({ workerGroup, capabilities }, index) => {
    const claim = outcome.claimed[index];
    if (claim === undefined || claim.bound.length === claim.liveSlots) return;
    for (const capability of capabilities) line.drained({ workerGroup, capability }, mind.claimedAsOf);
  });
  for (const kind of outcome.waiting) line.grew(kind);
  for (const group of new Set(outcome.waiting.map(({ workerGroup }) => workerGroup))) signals.send('ready', group);
  // Of whatever master they are: each that has the worker's session hands its subtask over.
  for (const { incarnationId } of outcome.subtasks) signals.send('bound', incarnationId);
  if (outcome.delayed) wake.due();
  // Others look now and then: this master acts at once.
  for (const kind of outcome.followups) wake.followup(kind);
  for (const id of outcome.killing) signals.send('kill', id);
  if (outcome.alerts) signals.send('alert');
  return handedOver;
}

/** What came to nothing, because too little was in line or the worker was no longer alive in the transaction, is free again. */
export function keepPromises(
  { sessions }: MasterContext,
  promised: readonly string[],
  bound: readonly BoundAttempt[],
): void {
  const left = new Map<string, number>();
  for (const id of promised) left.set(id, (left.get(id) ?? 0) + 1);
  for (const { incarnationId } of bound) left.set(incarnationId, (left.get(incarnationId) ?? 0) - 1);
  for (const [id, count] of left) for (let index = 0; index < count; index++) sessions.takeBack(id);
}

/** After an error the workers may be bound to something that nobody told them about: what they hold is read again. */
export function breakPromises({ sessions }: MasterContext, promised: readonly string[]): void {
  for (const id of promised) {
    sessions.takeBack(id);
    const session = sessions.get(id);
    if (session !== undefined) session.stale = true;
  }
}
