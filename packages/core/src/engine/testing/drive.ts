import type { ActiveAttempt, AttemptEnded } from '../view.ts';
import type { InstanceWorld } from './instance-world.ts';
import { must } from './rows.ts';
import type { TaskSpec } from './scenario.ts';

/** How this attempt ends: as its task's spec says, unless it was asked to end. */
export function endOf(it: InstanceWorld, attempt: ActiveAttempt, specs: readonly TaskSpec[]): AttemptEnded {
  const spec = specs[Number(attempt.task.slice(1))];
  if (attempt.killReason !== null) return { type: 'attempt-ended', attempt, end: 'stopped' };
  const fate = spec?.fates[attempt.attempt - 1] ?? 'succeeded';
  return {
    type: 'attempt-ended',
    attempt,
    end: fate,
    ...(fate === 'succeeded' ? {} : { reason: { code: 'x', message: 'x' } }),
  };
}

/** Drives the instance to its end in an order drawn from the scenario, some reports in batches. */
export function drive(
  it: InstanceWorld,
  specs: readonly TaskSpec[],
  order: readonly number[],
  stopAt = Infinity,
  look: () => void = () => undefined,
): void {
  for (let turn = 0; it.state.end === undefined; turn++) {
    must(turn < 2000, 'an instance ends');
    if (turn === stopAt) it.commands.push({ type: 'stop', by: 'test' });
    const pick = order[turn % order.length] ?? 0;
    const moves: (() => void)[] = [
      ...it.commands.map((command) => () => it.step(it.commands.splice(it.commands.indexOf(command), 1))),
      ...[...it.ready.keys()].map((task) => () => it.claim(task)),
      ...[...it.delayed.keys()].map((task) => () => it.release(task)),
    ];
    const running = [...it.active.values()];
    if (running.length > 0) {
      const first = pick % running.length;
      const batch = running.slice(first, first + 1 + (pick % 3));
      moves.push(() => it.step(batch.map((attempt) => endOf(it, attempt, specs))));
    }
    must(moves.length > 0, 'something always drives an instance that has not ended');
    moves[pick % moves.length]?.();
    look();
  }
}
