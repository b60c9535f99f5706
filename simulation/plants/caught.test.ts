/** Every planted bug is caught: those of the simulation within 200 seeds, the others by the one test that is named for each. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SHOWN_BY_SCENARIOS, runPlanted } from './on-postgres.ts';
import { PLANTS } from './table.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
const run = promisify(execFile);

for (const plant of PLANTS.filter(({ runsOn }) => runsOn === 'simulation'))
  test(`the simulation catches the plant ${plant.name}`, async (t) => {
    // A process of its own: the bug must be in the sources before the product is loaded.
    const { stdout } = await run(process.execPath, [MAIN, '--plant', plant.name, '--seeds', '1..200']);
    t.diagnostic(stdout.trim());
    assert.match(stdout, /: caught at seed/);
  });

// Most of them wait for a time limit of PostgreSQL's or of TCP's: together they take as long as the longest. Without the plant those tests are
// a part of this run themselves.
test('a test on PostgreSQL catches each of the other plants', async (t) => {
  const others = PLANTS.filter(({ name, runsOn }) => runsOn === 'postgres' && !SHOWN_BY_SCENARIOS.has(name));
  const codes = await Promise.all(others.map((plant) => runPlanted(plant, (line) => t.diagnostic(line))));
  assert.deepEqual(
    codes,
    others.map(() => 0),
  );
});
