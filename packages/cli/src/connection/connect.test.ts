import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { testFolder } from '../testing/folder.ts';
import { findServer } from './connect.ts';

const DEV = { url: 'http://127.0.0.1:7400', token: 'dev-token', pid: process.pid };

async function find(
  context: TestContext,
  files: Record<string, string>,
  env: Record<string, string> = {},
  data?: string,
) {
  const cwd = await testFolder(context, files);
  return findServer({ cwd, env }, data === undefined ? {} : { data });
}

test('the environment comes first', async (context) => {
  const env = { KEELSON_URL: 'http://far', KEELSON_TOKEN: 't' };
  assert.deepEqual(await find(context, { '.keelson/dev.json': JSON.stringify(DEV) }, env), {
    url: 'http://far',
    token: 't',
  });
});

test('else the dev that runs with the same data directory', async (context) => {
  assert.deepEqual(await find(context, { '.keelson/dev.json': JSON.stringify(DEV) }), {
    url: DEV.url,
    token: DEV.token,
  });
  assert.deepEqual(await find(context, { 'other/dev.json': JSON.stringify(DEV) }, {}, 'other'), {
    url: DEV.url,
    token: DEV.token,
  });
  assert.deepEqual(await find(context, { '.keelson/dev.json': JSON.stringify(DEV) }, { KEELSON_TOKEN: 'mine' }), {
    url: DEV.url,
    token: 'mine',
  });
});

test('a URL without a token takes that of the dev at this URL, and never sends it elsewhere', async (context) => {
  const files = { '.keelson/dev.json': JSON.stringify(DEV) };
  assert.deepEqual(await find(context, files, { KEELSON_URL: 'http://127.0.0.1:7400/' }), {
    url: 'http://127.0.0.1:7400/',
    token: DEV.token,
  });
  await assert.rejects(find(context, files, { KEELSON_URL: 'http://far:7400' }), { code: 'no-token', exitCode: 4 });
});

test('no dev, one that has ended, or a file that is none: how to start one', async (context) => {
  const ended = { ...DEV, pid: 2 ** 22 + 1 };
  for (const text of [JSON.stringify(ended), '{', '{"url":1}', 'null']) {
    await assert.rejects(find(context, { '.keelson/dev.json': text }), {
      code: 'no-server',
      exitCode: 3,
      advice: /keelson dev/,
    });
  }
  await assert.rejects(find(context, {}), { code: 'no-server' });
});
