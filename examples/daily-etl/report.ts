import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

interface Day {
  readonly location: string;
  readonly day: number;
  readonly temp_max: number;
  readonly temp_min: number;
}

interface Total {
  readonly location: string;
  readonly days: number;
  readonly wet_days: number;
  readonly precipitation: number;
}

interface Task {
  readonly args: {
    readonly day: string;
    readonly summary: { readonly days: readonly Day[]; readonly totals: readonly Total[] };
  };
  readonly outputDir: string;
  readonly log: (message: string) => void;
}

const WIDTH = 720;
const PLOT = { left: 48, right: 700, top: 64, bottom: 320 };
const COLOURS = ['#c2410c', '#1d4ed8'];

/** Draws a band per city, from the mean lowest to the mean highest temperature of each day of the month. */
export default async function report({ args: { day, summary }, outputDir, log }: Task) {
  const { days, totals } = summary;
  const degrees = days.flatMap(({ temp_min, temp_max }) => [temp_min, temp_max]);
  const low = Math.floor(Math.min(...degrees) / 5) * 5;
  const high = Math.ceil(Math.max(...degrees) / 5) * 5;
  const lastDay = Math.max(...days.map((each) => each.day));
  const x = (date: number) => scale(date, 1, lastDay, PLOT.left, PLOT.right);
  const y = (degree: number) => scale(degree, low, high, PLOT.bottom, PLOT.top);
  const month = new Date(`${day}T00:00:00Z`).toLocaleDateString('en', { month: 'long', timeZone: 'UTC' });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} 400" font-family="sans-serif" font-size="13">
<rect width="${WIDTH}" height="400" fill="#fff"/>
<text x="${PLOT.left}" y="34" font-size="19" font-weight="bold">${month}, 2012 to 2015: mean daily lows and highs in °C</text>
${grid(low, high, y)}
${totals.map((total, index) => band(total, days, COLOURS[index] ?? '#444', x, y)).join('\n')}
${totals.map((total, index) => caption(total, COLOURS[index] ?? '#444', 352 + 24 * index)).join('\n')}
</svg>
`;
  await writeFile(join(outputDir, 'weather.svg'), svg);
  for (const total of totals) log(captionText(total));
  return { chart: 'weather.svg', cities: totals.length };
}

function scale(value: number, fromLow: number, fromHigh: number, toLow: number, toHigh: number): number {
  return Number((toLow + ((value - fromLow) / (fromHigh - fromLow)) * (toHigh - toLow)).toFixed(1));
}

function grid(low: number, high: number, y: (degree: number) => number): string {
  const degrees = Array.from({ length: (high - low) / 5 + 1 }, (_, step) => low + 5 * step);
  return degrees
    .map((degree) => {
      const line = `<line x1="${PLOT.left}" x2="${PLOT.right}" y1="${y(degree)}" y2="${y(degree)}" stroke="#ddd"/>`;
      return `${line}<text x="${PLOT.left - 8}" y="${y(degree) + 4}" text-anchor="end" fill="#666">${degree}</text>`;
    })
    .join('\n');
}

function band(
  { location }: Total,
  days: readonly Day[],
  colour: string,
  x: (date: number) => number,
  y: (degree: number) => number,
): string {
  const own = days.filter((each) => each.location === location);
  const upper = own.map((each) => `${x(each.day)},${y(each.temp_max)}`);
  const lower = own.map((each) => `${x(each.day)},${y(each.temp_min)}`).toReversed();
  return `<polygon data-city="${location}" points="${[...upper, ...lower].join(' ')}" fill="${colour}" fill-opacity="0.25" stroke="${colour}"/>`;
}

function caption(total: Total, colour: string, y: number): string {
  const square = `<rect x="${PLOT.left}" y="${y - 11}" width="12" height="12" fill="${colour}"/>`;
  return `${square}<text x="${PLOT.left + 20}" y="${y}">${captionText(total)}</text>`;
}

function captionText({ location, days, wet_days, precipitation }: Total): string {
  return `${location}: ${precipitation} mm of rain and snow on ${wet_days} of ${days} days`;
}
