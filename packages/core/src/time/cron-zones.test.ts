import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CronExpressionParser } from 'cron-parser';
import { Cron } from 'croner';
import fc from 'fast-check';

import { cronRecurrence } from './cron.ts';
import { readCron } from './cron-fields.ts';
import type { CronModel, WallTime } from './testing/cron-model.ts';
import { nightModel } from './testing/cron-model.ts';
import type { ClockChange } from './testing/zone-walls.ts';
import { clockChanges, wallByIntl, ZONES } from './testing/zone-walls.ts';
import { zoneClock } from './zone-clock.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const AROUND = 7 * HOUR;

/** All days on which clocks change, in all zones: over 300. */
const changes = ZONES.flatMap((zone) => clockChanges(zone, 2020, 2035));

const EXPRESSIONS = [
  '30 2 * * *',
  '0 0 * * *',
  '15 0 * * *',
  '15 2 * * *',
  '0,30 1,2,3 * * *',
  '5 1-4 * * *',
  '59 23 * * *',
  '0 3 * * *',
  '45 1 * * *',
  '*/15 * * * *',
  '*/20 0-3 * * *',
  '0 * * * *',
  '30 * * * *',
  '0 */2 * * *',
];

function own(expression: string, { zone, atMs }: ClockChange): number[] {
  const recurrence = cronRecurrence(readCron(expression), zoneClock(zone));
  const times: number[] = [];
  for (let at = recurrence.next(atMs - AROUND - 1); at !== undefined && at < atMs + AROUND; at = recurrence.next(at))
    times.push(at);
  return times;
}

const shown = (times: readonly number[]): string =>
  times.map((at) => new Date(at).toISOString().slice(0, 16)).join(' ');
const label = (expression: string, change: ClockChange): string =>
  `${expression} in ${change.zone} at ${shown([change.atMs])}`;

test('the days on which clocks change are those of the zones', () => {
  assert.ok(changes.length > 300, String(changes.length));
  for (const { zone, atMs, shiftMs } of changes) {
    const span = zoneClock(zone).spanAt(atMs);
    assert.equal(span.startMs, atMs, zone);
    assert.equal(span.offsetMs - zoneClock(zone).spanAt(atMs - 1).offsetMs, shiftMs, zone);
  }
});

/** The rule, minute by minute: what the wall clock shows is all that it looks at. */
function byMinutes(model: CronModel, { zone, atMs }: ClockChange): number[] {
  const times: number[] = [];
  const fits = (wall: number): boolean => model.fitsDay(wallTime(wall)) && model.fitsTime(wallTime(wall));
  let latest = wallByIntl(zone, atMs - AROUND - MINUTE);
  for (let at = atMs - AROUND; at < atMs + AROUND; at += MINUTE) {
    const wall = wallByIntl(zone, at);
    let due = fits(wall) && (model.interval || wall > latest);
    for (let skipped = latest + MINUTE; skipped < wall && !model.interval; skipped += MINUTE) due ||= fits(skipped);
    if (due) times.push(at);
    latest = Math.max(latest, wall);
  }
  return times;
}

function wallTime(ms: number): WallTime {
  const date = new Date(ms);
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: 0,
  };
}

test('around every change, the times are what a look at the clock each minute finds', () => {
  fc.assert(
    fc.property(nightModel, fc.constantFrom(...changes), (model, change) => {
      assert.equal(shown(own(model.text, change)), shown(byMinutes(model, change)), label(model.text, change));
    }),
    { numRuns: 250 },
  );
});

/**
 * Where croner's own search differs. In Nuuk, clocks went from 23:00 on Saturday to 0:00 on Sunday: what fell between begins
 * again on the next date, and croner drops it. A daily job must not miss a day.
 */
const LOST_BY_CRONER = { expression: '59 23 * * *', zone: 'America/Nuuk' };

test("croner's own search, with the same rule, finds the same times around every change", () => {
  let lost = 0;
  for (const expression of EXPRESSIONS)
    for (const change of changes) {
      const job = new Cron(expression, { timezone: change.zone, paused: true, fixedTimeRule: 'no-wildcard' });
      const times: number[] = [];
      let at = job.nextRun(new Date(change.atMs - AROUND - 1000));
      for (; at !== null && at.getTime() < change.atMs + AROUND; at = job.nextRun(at)) times.push(at.getTime());
      const isLost =
        expression === LOST_BY_CRONER.expression && change.zone === LOST_BY_CRONER.zone && change.shiftMs > 0;
      if (isLost) lost++;
      const expected = own(expression, change).filter((due) => !isLost || due !== change.atMs);
      assert.equal(shown(times), shown(expected), label(expression, change));
    }
  assert.ok(lost > 8);
});

/**
 * Zones that cron-parser is not asked about: it steps by whole hours and loses its way in shifts and offsets of less, and
 * it loses times near a gap that ends at midnight.
 */
const NOT_FOR_CRON_PARSER: readonly string[] = ['Australia/Lord_Howe', 'Pacific/Chatham', 'America/Nuuk'];

/** In which way one time differs; every way is one of these, and stands for a choice. */
function difference(at: number, ours: boolean, expression: string, { atMs, shiftMs }: ClockChange): string | undefined {
  const { interval } = readCron(expression);
  const length = Math.abs(shiftMs);
  const after = at >= atMs && at < atMs + length;
  const before = at < atMs && at >= atMs - length;
  // Quartz.NET and Vixie cron fire when the clocks have moved; cron-parser as long after that as the time lies in the gap.
  if (shiftMs > 0 && !interval && ours && at === atMs) return 'gap: ours at its end';
  if (shiftMs > 0 && !interval && !ours && after) return 'gap: theirs shifted by its length';
  // "0 */2" names an interval: a time that does not exist is not made up for. cron-parser only takes "*" for one.
  if (shiftMs > 0 && interval && !ours && at === atMs) return 'gap: theirs made up for an interval';
  // "*/20 0-3" goes on for as long as the clock shows these hours; cron-parser falls silent for the second pass.
  if (shiftMs < 0 && interval && ours && (after || before)) return 'twice: ours in both passes of an interval';
  // A fixed time counts the first time that it comes. cron-parser takes the second one where midnight comes twice.
  if (shiftMs < 0 && !interval && ours && before) return 'twice: ours at the first';
  if (shiftMs < 0 && !interval && !ours && after) return 'twice: theirs at the second';
  return undefined;
}

test('cron-parser finds the same times around every change, but for differences that stand for a choice', () => {
  const ways = new Set<string>();
  for (const expression of EXPRESSIONS)
    for (const change of changes) {
      if (NOT_FOR_CRON_PARSER.includes(change.zone)) continue;
      const ours = new Set(own(expression, change));
      const theirs = new Set(parsed(expression, change));
      const differing = [...ours, ...theirs].filter((at) => !ours.has(at) || !theirs.has(at));
      for (const at of differing) {
        const way = difference(at, ours.has(at), expression, change);
        assert.ok(way, `${label(expression, change)}: ${ours.has(at) ? 'only ours' : 'only theirs'} ${shown([at])}`);
        ways.add(way);
      }
    }
  assert.equal(ways.size, 6, [...ways].join(', '));
});

function parsed(expression: string, { zone, atMs }: ClockChange): number[] {
  const search = CronExpressionParser.parse(expression, { tz: zone, currentDate: new Date(atMs - AROUND - 1) });
  const times: number[] = [];
  for (let at = search.next().getTime(); at < atMs + AROUND; at = search.next().getTime()) times.push(at);
  return times;
}
