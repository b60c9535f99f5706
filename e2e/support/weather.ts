import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface WeatherDay {
  readonly location: string;
  readonly date: string;
  readonly precipitation: number;
  readonly tempMax: number;
  readonly tempMin: number;
}

const FILE = fileURLToPath(new URL('../../node_modules/vega-datasets/data/weather.csv', import.meta.url));

/** The days of one month (1 to 12) of all years, straight from the source. */
export function sourceDays(month: number): WeatherDay[] {
  const lines = readFileSync(FILE, 'utf8').trim().split('\n').slice(1);
  const days = lines.map((line): WeatherDay => {
    const [location = '', date = '', precipitation, tempMax, tempMin] = line.split(',');
    return { location, date, precipitation: Number(precipitation), tempMax: Number(tempMax), tempMin: Number(tempMin) };
  });
  return days.filter(({ date }) => Number(date.split('-')[1]) === month);
}

export interface CityTotal {
  readonly location: string;
  readonly days: number;
  readonly wet_days: number;
  readonly precipitation: number;
}

/** What the month's report must say, in order of the cities' names. */
export function sourceTotals(month: number): CityTotal[] {
  return ['New York', 'Seattle'].map((location) => {
    const days = sourceDays(month).filter((day) => day.location === location);
    const tenths = days.reduce((sum, { precipitation }) => sum + Math.round(precipitation * 10), 0);
    const wet = days.filter(({ precipitation }) => precipitation > 0).length;
    return { location, days: days.length, wet_days: wet, precipitation: tenths / 10 };
  });
}
