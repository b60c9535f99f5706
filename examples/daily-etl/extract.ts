import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import weather from '../../node_modules/vega-datasets/data/weather.csv' with { type: 'text' };

const FILES = { Seattle: 'seattle.csv', 'New York': 'new-york.csv' } as const;

interface Task {
  readonly args: { readonly day: string };
  readonly outputDir: string;
  readonly log: (message: string) => void;
}

/** Writes the records of the day's month, from all the years that there are, into one file per city. */
export default async function extract({ args: { day }, outputDir, log }: Task) {
  const [header = '', ...lines] = weather.trim().split('\n');
  const month = day.slice(5, 7);
  const found: Record<string, number> = {};
  for (const [city, file] of Object.entries(FILES)) {
    const records = lines.filter((line) => line.startsWith(`${city},`) && line.split(',')[1]?.slice(5, 7) === month);
    await writeFile(join(outputDir, file), `${[header, ...records].join('\n')}\n`);
    log(`${city}: ${records.length} days in month ${month}`);
    found[city.toLowerCase().replace(' ', '_')] = records.length;
  }
  return found;
}
