import type { ValuePath } from '../expression/evaluate.ts';
import { formatDuration } from '../time/duration.ts';
import { boundInstant } from '../time/local-time.ts';
import { zoneClock } from '../time/zone-clock.ts';
import { readDuration } from './check-trigger-kind.ts';
import type { TriggerFile } from './file-schema.ts';
import { DEFAULT_MISFIRE_THRESHOLD_MS, MAX_JITTER_MS } from './limits.ts';
import type { TriggerDefinition } from './model.ts';
import type { Report } from './report.ts';

type Limits = Pick<TriggerDefinition, 'start' | 'end' | 'enabled' | 'misfireThresholdMs' | 'calendars' | 'jitterMs'>;

/** What bounds the fires of any kind of trigger; what only says the default is left out. */
export function readTriggerLimits(file: TriggerFile, timezone: string, path: ValuePath, report: Report): Limits {
  checkBounds(file, timezone, path, report);
  const threshold =
    file.misfireThreshold === undefined
      ? undefined
      : readDuration(file.misfireThreshold, [...path, 'misfireThreshold'], report);
  const jitter = file.jitter === undefined ? undefined : readDuration(file.jitter, [...path, 'jitter'], report);
  if (jitter !== undefined && jitter > MAX_JITTER_MS)
    report.add({
      code: 'out-of-range',
      path: [...path, 'jitter'],
      message: `must be at most ${formatDuration(MAX_JITTER_MS)}, not ${JSON.stringify(file.jitter)}`,
    });
  const calendars = [...new Set(file.calendars)].toSorted();
  return {
    ...(file.start !== undefined && { start: file.start }),
    ...(file.end !== undefined && { end: file.end }),
    ...(file.enabled === false && { enabled: false as const }),
    ...(threshold !== undefined && threshold !== DEFAULT_MISFIRE_THRESHOLD_MS && { misfireThresholdMs: threshold }),
    ...(calendars.length > 0 && { calendars }),
    ...(jitter !== undefined && jitter > 0 && { jitterMs: jitter }),
  };
}

function checkBounds({ start, end }: TriggerFile, timezone: string, path: ValuePath, report: Report): void {
  const clock = zoneClock(timezone);
  const bounds = { start, end };
  const [from, until] = (['start', 'end'] as const).map((side) => {
    const text = bounds[side];
    if (text === undefined) return undefined;
    const at = boundInstant(text, clock, side);
    if (at === undefined)
      report.add({
        code: 'bad-time',
        path: [...path, side],
        message: `there is no such ${text.includes('T') ? 'time' : 'day'}: ${JSON.stringify(text)}`,
      });
    return at;
  });
  if (from !== undefined && until !== undefined && until < from)
    report.add({
      code: 'end-before-start',
      path: [...path, 'end'],
      message: `the end ${end ?? ''} is before the start ${start ?? ''}: the trigger would never be due`,
    });
}
