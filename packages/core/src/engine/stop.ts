import { haltBroadcasts } from './broadcast-begin.ts';
import { MissingRows, NOTHING_MISSING, takeBack } from './draft.ts';
import type { Draft } from './draft.ts';
import { assertInstanceTransition } from './states.ts';
import type { EngineEvent } from './view.ts';

/** Stop the instance: nothing new starts, what runs is asked to end. A second request changes nothing. */
export function stop(draft: Draft, by: string): void {
  if (draft.live.state === 'stopping') return;
  assertInstanceTransition(draft.live.state, 'stopping');
  draft.live = { ...draft.live, state: 'stopping' };
  draft.withdraw = 'settle';
  takeBack(draft);
  draft.events.push({ type: 'stop-requested', by });
  haltBroadcasts(draft, { code: 'stopped', message: 'stopped on request' });
}

/**
 * A stopping instance is stopped once no attempt of it can run any more. The step that began to stop never says so itself:
 * what it took out of the line is only known afterwards, so it leaves a `settle` command.
 */
export function settle(draft: Draft, events: readonly EngineEvent[]): void {
  if (draft.live.state !== 'stopping' || draft.withdraw !== undefined || events.length === 0) return;
  const active = draft.view.activeAttempts;
  if (active === undefined) throw new MissingRows({ ...NOTHING_MISSING, activeAttempts: true });
  if (active > draft.released.length) return;
  assertInstanceTransition('stopping', 'stopped');
  const reason = { code: 'stopped', message: 'stopped on request' };
  draft.end = { state: 'stopped', reason };
  draft.endRemaining = {
    state: 'stopped',
    reason: { code: 'instance-stopped', message: 'the instance was stopped' },
    broadcasts: draft.view.plan.broadcasts,
  };
  draft.events.push(
    { type: 'remaining-ended', state: 'stopped' },
    { type: 'instance-ended', state: 'stopped', reason },
  );
}
