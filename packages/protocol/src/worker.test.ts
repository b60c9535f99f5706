import assert from 'node:assert/strict';
import { test } from 'node:test';
import { registerRequest, reportRequest } from './worker.ts';

const ended = (more: object): boolean =>
  reportRequest.safeParse({
    reports: [{ kind: 'ended', token: 't', end: 'failed', startedAgoMs: 2, endedAgoMs: 1, ...more }],
  }).success;

test('a reported artifact lies below the directory that it is written to', () => {
  const artifact = (path: string): boolean =>
    ended({ artifacts: [{ path, sha256: 'a'.repeat(64), size: 1, mode: 0o644 }] });
  for (const path of ['a', 'a/b.csv', 'ü name', '..a', 'a/...']) assert.ok(artifact(path), path);
  for (const path of ['', '.', '..', '../a', 'a/../../b', '/etc/passwd', 'a//b', 'a/', 'a\\b', 'a\0', '\ud800'])
    assert.ok(!artifact(path), JSON.stringify(path));
});

test('a report holds nothing that the database could not take', () => {
  assert.ok(ended({ reason: { code: 'signal', message: 'm', signal: 'SIGRTMIN+3' } }));
  assert.ok(!ended({ reason: { code: 'signal', message: 'm', signal: '\0' } }));
  assert.ok(!ended({ startedAgoMs: 1e300 }) && !ended({ endedAgoMs: 1e18 }));
});

test('a worker joins a group that a definition could name', () => {
  const join = (group: string): boolean =>
    registerRequest.safeParse({
      protocol: 1,
      name: 'w',
      group,
      slots: 1,
      capabilities: [],
      host: 'h',
      pid: 1,
      version: '1',
    }).success;
  assert.ok(join('default') && join('gpu.a_1-b'));
  assert.ok(!join('a b') && !join('') && !join('../x'));
});
