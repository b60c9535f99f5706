import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { readCron } from './cron-fields.ts';
import { nextWall } from './cron-search.ts';
import type { CronModel, WallTime } from './testing/cron-model.ts';
import { quartzModel, unixModel } from './testing/cron-model.ts';

const DAY = 86_400_000;
const FEW_YEARS = 9 * 366;

/** Tries one day after the other, and on a day that fits one second after the other. */
function nextBySearch(model: CronModel, fromMs: number): number | undefined {
  const today = Math.floor(fromMs / DAY) * DAY;
  for (let day = today; day < today + FEW_YEARS * DAY; day += DAY) {
    if (!model.fitsDay(wallOf(day))) continue;
    for (let at = Math.max(day, fromMs); at < day + DAY; at += 1000) if (model.fitsTime(wallOf(at))) return at;
  }
  return undefined;
}

function wallOf(ms: number): WallTime {
  const date = new Date(ms);
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
  };
}

const second = fc
  .integer({ min: Date.UTC(2019, 0) / 1000, max: Date.UTC(2036, 0) / 1000 })
  .map((value) => value * 1000);

for (const [rules, models] of [
  ['Unix', unixModel],
  ['Quartz', quartzModel],
] as const)
  test(`${rules} expressions: the next time is what a search over all days and seconds finds`, () => {
    fc.assert(
      fc.property(models, second, (model, fromMs) => {
        const expected = nextBySearch(model, fromMs);
        const found = nextWall(readCron(model.text), fromMs);
        if (expected === undefined)
          assert.ok(found === undefined || found >= fromMs + (FEW_YEARS - 1) * DAY, model.text);
        else assert.equal(found, expected, model.text);
      }),
      { numRuns: 400 },
    );
  });

test('a name that means an interval is known as one', () => {
  fc.assert(
    fc.property(fc.oneof(unixModel, quartzModel), ({ text, interval }) => {
      assert.equal(readCron(text).interval, interval, text);
    }),
  );
});
