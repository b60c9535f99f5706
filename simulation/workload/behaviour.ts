import type { JsonObject } from '@keelson/core';
import { hashText, openDice } from '../clock/random.ts';

/** What the tasks of a seed are like. */
export interface Moods {
  /** Share of attempts that fail. */
  readonly failing: number;
  /** Share of attempts that take seconds. */
  readonly long: number;
}

/** What a task does in one attempt. It depends on the seed and the attempt alone, not on who runs it when. */
export interface Behaviour {
  readonly durationMs: number;
  readonly succeeds: boolean;
  readonly outputs: JsonObject;
  /** How long it takes to end after it was told to (SIGTERM, or the abort signal). */
  readonly reactionMs: number;
}

export function behaviourOf(
  seed: number,
  instanceId: string,
  task: string,
  attempt: number,
  { failing, long }: Moods,
): Behaviour {
  const dice = openDice(hashText(`${instanceId}.${task}.${attempt}`, seed));
  return {
    durationMs: dice.chance(long) ? dice.between(3000, 15_000) : dice.between(5, 1500),
    succeeds: !dice.chance(failing),
    outputs: dice.chance(0.3) ? { made: `${task}-${attempt}` } : {},
    reactionMs: dice.chance(0.2) ? dice.between(500, 4000) : dice.between(1, 100),
  };
}
