import type { TriggerDefinition } from '../definition/model.ts';
import { formatDuration } from './duration.ts';

/** When a trigger is due, in few words: `30 2 * * * Asia/Shanghai`, `every 30s`, `1s after each end`. */
export function describeTrigger(trigger: TriggerDefinition): string {
  const zone = trigger.timezone === 'UTC' ? '' : ` ${trigger.timezone}`;
  if (trigger.cron !== undefined) return `${trigger.cron}${zone}`;
  if (trigger.fixedRateMs !== undefined) return `every ${formatDuration(trigger.fixedRateMs)}`;
  if (trigger.fixedDelayMs !== undefined) return `${formatDuration(trigger.fixedDelayMs)} after each end`;
  if (trigger.at !== undefined) return `at ${trigger.at}${zone}`;
  const { from, to, everyMs } = trigger.dailyInterval;
  return `${from}–${to} every ${formatDuration(everyMs)}${zone}`;
}
