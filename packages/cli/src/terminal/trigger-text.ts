import { describeTrigger } from '@keelson/core';
import type { TriggerDefinition } from '@keelson/core';
import type { Schedule } from '@keelson/protocol';

/** Hashes stand for triggers without an id. */
const HASH = /^[0-9a-f]{16,}$/;

/** What a trigger says, in few words: `nightly: 30 2 * * * Asia/Shanghai`. */
export function triggerText({ trigger, definition }: Pick<Schedule, 'trigger' | 'definition'>): string {
  const id = HASH.test(trigger) ? trigger.slice(0, 8) : trigger;
  // As a server gives it out, it is the model.
  return `${id}: ${describeTrigger(definition as unknown as TriggerDefinition)}`;
}
