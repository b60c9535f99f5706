import type { JsonObject, TriggerDefinition, WorkflowDefinition } from '@keelson/core';
import { canonicalJson } from '@keelson/core';
import { ApiError } from '@keelson/protocol';

/** Whose times a backfill runs. */
export interface ChosenTriggers {
  /** None: the beginning of each date. */
  readonly triggers: readonly TriggerDefinition[];
  readonly zone: string;
  /** What the trigger gives to each of its fires. */
  readonly params: JsonObject;
}

/**
 * The trigger that was named; else all that have times of their own on every date, as long as they agree on what a run of theirs is. Disabled
 * ones only where there are no others. Throws an `ApiError` where it is not clear.
 */
export function chosenTriggers(definition: WorkflowDefinition, id: string | undefined): ChosenTriggers {
  const { triggers, timezone, name } = definition;
  if (id !== undefined) {
    const named = triggers.find((trigger) => trigger.id === id);
    const known = triggers.length === 0 ? 'it has none' : `it has ${triggers.map(shown).join(', ')}`;
    if (named === undefined) throw which(`${name} has no trigger ${JSON.stringify(id)}: ${known}`);
    if (named.fixedDelayMs !== undefined)
      throw which(`the trigger ${id} has no times of its own: each follows the end of the run before`);
    return { triggers: [named], zone: named.timezone, params: named.params };
  }
  const timed = triggers.filter(({ fixedDelayMs, at }) => fixedDelayMs === undefined && at === undefined);
  const enabled = timed.filter((trigger) => trigger.enabled !== false);
  const chosen = enabled.length > 0 ? enabled : timed;
  const [first] = chosen;
  if (first === undefined) return { triggers: [], zone: timezone, params: {} };
  const differ = chosen.some((one) => one.timezone !== first.timezone || !same(one.params, first.params));
  if (differ) throw which(`the triggers of ${name} differ in their zone or params: ${chosen.map(shown).join(', ')}`);
  return { triggers: chosen, zone: first.timezone, params: first.params };
}

const which = (message: string): ApiError => new ApiError('backfill-which-trigger', message);

function same(one: JsonObject, other: JsonObject): boolean {
  return canonicalJson(one) === canonicalJson(other);
}

function shown({ id, cron, fixedRateMs, dailyInterval, at }: TriggerDefinition): string {
  const kind = cron ?? (fixedRateMs ? 'fixedRate' : dailyInterval ? 'dailyInterval' : at ? `at ${at}` : 'fixedDelay');
  return `${id} (${kind})`;
}
