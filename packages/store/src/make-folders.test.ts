import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolders } from './make-folders.ts';

test('folders are made with those above them, once', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-folders-'));
  t.after(() => rm(dir, { recursive: true }));
  assert.equal(await makeFolders(join(dir, 'a/b/c')), join(dir, 'a'));
  assert.equal(await makeFolders(join(dir, 'a/b/c')), undefined);
  assert.ok((await stat(join(dir, 'a/b/c'))).isDirectory());
  await Promise.all([makeFolders(join(dir, 'x/y')), makeFolders(join(dir, 'x/y'))]);
  await writeFile(join(dir, 'file'), '');
  await assert.rejects(makeFolders(join(dir, 'file')), { code: 'EEXIST' });
  await assert.rejects(makeFolders(join(dir, 'file/below')), { code: 'ENOTDIR' });
});

test('a folder that can never be made is an error, and no wait without end', async () => {
  await assert.rejects(makeFolders('/proc/keelson/data'), { code: 'ENOENT' });
});
