import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

interface Task {
  readonly inputDir: string;
  readonly log: (message: string) => void;
}

/** Turns text into numbers, counts drizzle as rain, and leaves out days that are incomplete or impossible. */
export default async function clean({ inputDir, log }: Task) {
  const text = await readFile(join(inputDir, 'extract', 'seattle.csv'), 'utf8');
  const records = text.trim().split('\n').slice(1);
  const rows = records.flatMap((record) => {
    const [location = '', day = '', ...rest] = record.split(',');
    const [precipitation, tempMax, tempMin, wind] = rest.slice(0, 4).map(Number.parseFloat);
    const complete = [precipitation, tempMax, tempMin, wind].every(Number.isFinite);
    if (!complete || Number(tempMax) < Number(tempMin) || Number(precipitation) < 0) return [];
    const weather = rest[4] === 'drizzle' ? 'rain' : rest[4];
    return [{ location, day, temp_max: tempMax, temp_min: tempMin, precipitation, wind, weather }];
  });
  log(`${rows.length} of ${records.length} days are good`);
  return { rows, rejected: records.length - rows.length };
}
