import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { manualClock } from '../testing/manual-clock.ts';
import { openWorkspacePlaces, workspacePaths } from './workspace-places.ts';

function setup(t: TestContext) {
  const attemptsDir = mkdtempSync(join(tmpdir(), 'keelson-places-'));
  t.after(() => rmSync(attemptsDir, { recursive: true, force: true }));
  const clock = manualClock();
  return { clock, places: openWorkspacePlaces(attemptsDir, clock) };
}

it('gives a directory out again when it is as it was made, and not at once', async (t) => {
  const { clock, places } = setup(t);
  const first = places.take();
  first.make();
  assert.equal(await first.giveBack(), undefined);
  assert.notEqual(places.take().root, first.root);
  await clock.advance(5000);
  assert.equal(places.take().root, first.root);
  assert.notEqual(places.take().root, first.root);
});

it('removes a directory in which anything changed', async (t) => {
  const { clock, places } = setup(t);
  const changes: ((root: string) => void)[] = [
    (root) => writeFileSync(join(workspacePaths(root).dir, 'left'), 'x'),
    (root) => writeFileSync(workspacePaths(root).outputFile, 'a=b'),
    (root) => chmodSync(workspacePaths(root).outputDir, 0o700),
    (root) => rmSync(workspacePaths(root).inputDir, { recursive: true }),
    (root) => {
      rmSync(workspacePaths(root).dir, { recursive: true });
      symlinkSync('/', workspacePaths(root).dir);
    },
  ];
  for (const change of changes) {
    const place = places.take();
    place.make();
    change(place.root);
    assert.equal(await place.giveBack(), undefined);
    assert.ok(!existsSync(place.root));
    await clock.advance(5000);
    assert.notEqual(places.take().root, place.root);
  }
});

it('does not give out a directory that was changed while it rested', async (t) => {
  const { clock, places } = setup(t);
  const first = places.take();
  first.make();
  await first.giveBack();
  writeFileSync(join(workspacePaths(first.root).dir, 'late'), 'x');
  await clock.advance(5000);
  assert.notEqual(places.take().root, first.root);
});
