import assert from 'node:assert/strict';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { appendEntry } from './append.ts';
import { ledgerReader } from './reader.ts';

test('a ledger that grows is read on, line by line, and half a line waits for its end', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-ledger-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'ledger');
  const read = ledgerReader(file);
  assert.deepEqual(await read(), [], 'there is no file yet');
  const line = { kind: 'S', instance: '1', task: 'a', attempt: 1, token: '-', worker: 'w', pid: 1 } as const;
  appendEntry(file, line);
  await appendFile(file, 'E 1 a 1 ');
  assert.deepEqual(
    (await read()).map(({ kind, place }) => [kind, place]),
    [['S', 0]],
  );
  await appendFile(file, '- w 1 12.34 1000000 0\n');
  appendEntry(file, { ...line, instance: '2' });
  const [first, second] = await Promise.all([read(), read()]);
  assert.equal(first, second);
  assert.deepEqual(
    first.map(({ kind, instance, place }) => [kind, instance, place]),
    [
      ['S', '1', 0],
      ['E', '1', 1],
      ['S', '2', 2],
    ],
  );
});
