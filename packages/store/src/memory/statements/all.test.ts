import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { INVARIANTS } from '../../postgres/invariants/invariants.ts';
import { emulated } from './all.ts';

const POSTGRES = new URL('../../postgres/', import.meta.url);
/** What masters run, apart from the files of a step. */
const FILES = [
  'engine/admission',
  'engine/claim',
  'engine/concurrency',
  'engine/engine',
  'engine/operations',
  'engine/quarantine',
  'engine/starts',
  'engine/timers',
  'backfills/backfills',
  'backfills/backfill-turn',
  'schedules/fires-read',
  'schedules/fires-write',
  'workers/workers',
  'invariants/doctor-sweep',
  'invariants/doctor-repair',
  'schema/partitions',
];

async function statementsIn(file: URL): Promise<string[]> {
  const source = await readFile(file, 'utf8');
  const names = [...source.matchAll(/\bname:\s*'([^']+)',\s*text:/g)].map(([, name = '']) => name);
  const texts = [...source.matchAll(/\btext:\s*[`'"]/g)].length;
  assert.ok(
    names.length >= texts - [...source.matchAll(/\bname:\s*`/g)].length,
    `a statement without a plain name in ${file.href}`,
  );
  return names;
}

test('every statement that masters run has an emulation, and no other has', async () => {
  const steps = (await readdir(new URL('engine/step/', POSTGRES))).map((file) => `engine/step/${file}`);
  const files = [...steps, ...FILES.map((file) => `${file}.ts`)];
  const used = (await Promise.all(files.map((file) => statementsIn(new URL(file, POSTGRES))))).flat();
  assert.ok(used.length > 50, 'the statements are found');
  assert.deepEqual(
    used.filter((name) => !emulated.has(name)),
    [],
  );
  const made = new Set([...used, ...INVARIANTS.map(({ name }) => `check-${name}`)]);
  const repairs = (name: string): boolean => name.startsWith('repair-');
  assert.deepEqual(
    [...emulated].filter((name) => !made.has(name) && !repairs(name)),
    [],
  );
});
