import { formatDuration } from '@keelson/core';
import type { Schedule } from '@keelson/protocol';

/** Hashes stand for triggers without an id. */
const HASH = /^[0-9a-f]{16,}$/;

/** What a trigger says, in few words: `nightly: 30 2 * * * Asia/Shanghai`. */
export function triggerText({ trigger, definition }: Pick<Schedule, 'trigger' | 'definition'>): string {
  const id = HASH.test(trigger) ? trigger.slice(0, 8) : trigger;
  return `${id}: ${kindText(definition)}`;
}

function kindText({ cron, fixedRateMs, fixedDelayMs, at, dailyInterval, timezone }: Schedule['definition']): string {
  const zone = timezone === 'UTC' ? '' : ` ${String(timezone)}`;
  if (typeof cron === 'string') return `${cron}${zone}`;
  if (typeof fixedRateMs === 'number') return `every ${formatDuration(fixedRateMs)}`;
  if (typeof fixedDelayMs === 'number') return `${formatDuration(fixedDelayMs)} after each end`;
  if (typeof at === 'string') return `at ${at}${zone}`;
  const { from, to, everyMs } = dailyInterval as { from: string; to: string; everyMs: number };
  return `${from}–${to} every ${formatDuration(everyMs)}${zone}`;
}
