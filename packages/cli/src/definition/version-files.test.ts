import assert from 'node:assert/strict';
import { chmod, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { testFolder } from '../testing/folder.ts';
import { sha256 } from '../testing/test-api.ts';
import { gatherFiles } from './version-files.ts';

test('names, globs and folders; hashed, sorted, each once', async (context) => {
  const folder = await testFolder(context, {
    'run.sh': 'echo',
    'sql/a.sql': 'select 1',
    'sql/deep/b.sql': '',
    'sql/.hidden': 'x',
    'other.txt': '',
  });
  await chmod(join(folder, 'run.sh'), 0o775);
  await chmod(join(folder, 'sql/a.sql'), 0o600);
  const { contents, issues } = await gatherFiles(folder, ['./run.sh', 'sql/**', 'sql', 'run.sh']);
  assert.deepEqual(issues, []);
  assert.deepEqual(
    contents.map(({ file }) => file),
    [
      { path: 'run.sh', sha256: sha256('echo'), size: 4, mode: 0o755 },
      { path: 'sql/a.sql', sha256: sha256('select 1'), size: 8, mode: 0o644 },
      { path: 'sql/deep/b.sql', sha256: sha256(''), size: 0, mode: 0o644 },
    ],
  );
});

test('a name that is not there and a glob that matches nothing are named', async (context) => {
  const folder = await testFolder(context, { 'a.txt': '' });
  await mkdir(join(folder, 'empty'));
  const { contents, issues } = await gatherFiles(folder, ['a.txt', 'b.txt', '*.sql', 'empty']);
  assert.deepEqual(
    contents.map(({ file }) => file.path),
    ['a.txt'],
  );
  assert.deepEqual(
    issues.map(({ code, path, message }) => [code, path, message]),
    [
      ['missing-file', 'files[1]', 'there is no file "b.txt" in the folder of the definition'],
      ['missing-file', 'files[2]', '"*.sql" matches no file'],
      ['missing-file', 'files[3]', 'the folder "empty" is empty'],
    ],
  );
});

test('nothing outside the folder, and no link, can be reached', async (context) => {
  const outside = await testFolder(context, { 'secret.txt': 'secret' });
  const folder = await testFolder(context, { 'sub/in.txt': 'in' });
  await symlink(join(outside, 'secret.txt'), join(folder, 'link.txt'));
  await symlink(outside, join(folder, 'door'));
  await symlink('nowhere', join(folder, 'broken'));
  const refused = async (pattern: string) => {
    const { contents, issues } = await gatherFiles(folder, [pattern]);
    assert.deepEqual(
      contents.filter(({ file }) => file.path !== 'sub/in.txt'),
      [],
      pattern,
    );
    return issues.map(({ code }) => code);
  };
  assert.deepEqual(await refused('../x.txt'), ['bad-path']);
  assert.deepEqual(await refused('sub/../../x'), ['bad-path']);
  assert.deepEqual(await refused(join(outside, 'secret.txt')), ['bad-path']);
  assert.deepEqual(await refused('link.txt'), ['link-refused']);
  assert.deepEqual(await refused('door/secret.txt'), ['link-refused']);
  assert.deepEqual(await refused('broken'), ['missing-file']);
  assert.deepEqual(await refused('door/*'), ['link-refused']);
  assert.deepEqual(await refused('{door,sub}/*.txt'), [], 'a glob walks through no link');
  assert.deepEqual(await refused('**'), []);
});
