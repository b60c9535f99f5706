import type { ValuePath } from '../expression/evaluate.ts';
import type { FireContext } from '../time/trigger.ts';
import { compileTrigger, nextFire } from '../time/trigger.ts';
import type { TriggerDefinition } from './model.ts';
import type { Report } from './report.ts';

/** Of calendars nothing is known here: they are the project's and may change. */
const NO_CALENDARS: FireContext = { calendars: new Map() };

/** Refuses a trigger that is never due, and warns of one whose times are all past. Takes one that passed the other checks. */
export function checkThatItFires(
  trigger: TriggerDefinition,
  path: ValuePath,
  report: Report,
  nowMs: number | undefined,
): void {
  const compiled = compileTrigger(trigger);
  if (nextFire(compiled, 0, NO_CALENDARS) === undefined)
    report.add({
      code: 'never-fires',
      path: trigger.end !== undefined ? [...path, 'end'] : trigger.start !== undefined ? [...path, 'start'] : path,
      message: 'the trigger is never due: none of its times lies within its start and end',
    });
  else if (nowMs !== undefined && trigger.enabled !== false && nextFire(compiled, nowMs, NO_CALENDARS) === undefined)
    report.add({
      severity: 'warning',
      code: 'already-over',
      path,
      message: 'all times of the trigger are past: it is never due again',
    });
}
