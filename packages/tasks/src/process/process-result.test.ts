import assert from 'node:assert/strict';
import { it } from 'node:test';
import { processResult } from './process-result.ts';

it('takes exit code 0 alone for a success', () => {
  assert.equal(processResult({ kind: 'exited', exitCode: 0 }), undefined);
  assert.deepEqual(processResult({ kind: 'exited', exitCode: 3 }), {
    code: 'exit-code',
    exitCode: 3,
    message: 'exit code 3',
  });
});

it('explains the exit codes that shells and kernels give', () => {
  assert.match(processResult({ kind: 'exited', exitCode: 137 })?.message ?? '', /137 .*SIGKILL.*memory/);
  assert.match(processResult({ kind: 'exited', exitCode: 126 })?.message ?? '', /executable/);
  assert.match(processResult({ kind: 'exited', exitCode: 143 })?.message ?? '', /SIGTERM/);
  assert.deepEqual(processResult({ kind: 'exited', exitCode: 255 })?.message, 'exit code 255');
  const notFound = processResult({ kind: 'exited', exitCode: 127 });
  assert.equal(notFound?.code, 'command-not-found');
  assert.equal(notFound.exitCode, 127);
});

it('names the signal', () => {
  const reason = processResult({ kind: 'signalled', signal: 'SIGKILL' });
  assert.equal(reason?.code, 'signal');
  assert.equal(reason.signal, 'SIGKILL');
  assert.match(reason.message, /SIGKILL.*memory/);
});

it('tells a missing command from a process that could not be started', () => {
  assert.equal(
    processResult({ kind: 'not-started', errno: 'ENOENT', message: 'spawn nope ENOENT' })?.code,
    'command-not-found',
  );
  assert.equal(
    processResult({ kind: 'not-started', errno: 'EAGAIN', message: 'spawn sh EAGAIN' })?.code,
    'not-started',
  );
});
