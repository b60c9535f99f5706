import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

test('a disk that is full under the output is one line, not a stack', { skip: process.platform !== 'linux' }, () => {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, 'schema'], {
    stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
    encoding: 'utf8',
  });
  assert.equal(status, 1);
  assert.match(stderr, /^error: cannot write the output: ENOSPC[^\n]*\n$/);
});
