import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JsonObject } from '@keelson/core';
import { testContext, type TestContextOptions } from '../testing/context.ts';
import { run } from './run.ts';

async function runShell(input: JsonObject, options?: TestContextOptions) {
  await using test = testContext(input, options);
  const result = await run(test.context);
  return { result, log: test.log() };
}

async function failure(input: JsonObject, options?: TestContextOptions) {
  const { result } = await runShell(input, options);
  assert.ok(result.outcome === 'failed', 'expected a failure');
  return result.reason;
}

describe('shell', () => {
  it('runs the script among the files and reads its outputs', async () => {
    const { result, log } = await runShell(
      { run: 'cat data.txt; echo "day=$DAY" >> "$KEELSON_OUTPUT"; echo "n:=2" >> "$KEELSON_OUTPUT"' },
      { env: { DAY: '2026-01-31' }, files: { 'data.txt': 'from the file\n' } },
    );
    assert.deepEqual(result, { outcome: 'succeeded', outputs: { day: '2026-01-31', n: 2 } });
    assert.equal(log, 'from the file\n');
  });

  it('gives values to the script as data, whatever they hold', async () => {
    const { log } = await runShell({ run: 'printf %s "$X"' }, { env: { X: '$(echo pwned) `id` "; exit 9' } });
    assert.equal(log, '$(echo pwned) `id` "; exit 9');
  });

  it('stops at the first command that fails', async () => {
    const { result, log } = await runShell({ run: 'echo one\nfalse\necho two' });
    assert.ok(result.outcome === 'failed');
    assert.equal(result.reason.exitCode, 1);
    assert.equal(log, 'one\n');
  });

  it('sees a failing part of a pipe in bash', async () => {
    assert.equal((await runShell({ run: 'false | cat' })).result.outcome, 'succeeded');
    assert.equal((await failure({ run: 'false | cat', shell: 'bash' })).exitCode, 1);
  });

  it('explains a missing command and a kill', async () => {
    assert.equal((await failure({ run: 'no-such-command-here' })).code, 'command-not-found');
    assert.equal((await failure({ run: 'sh -c "exit 137"' })).exitCode, 137);
    const killed = await failure({ run: 'kill -KILL $$' });
    assert.deepEqual([killed.code, killed.signal], ['signal', 'SIGKILL']);
    const nowhere = await failure({ run: 'true' }, { env: { PATH: '/nowhere' } });
    assert.equal(nowhere.code, 'command-not-found');
  });

  it('takes a script that is too long for an argument', async () => {
    const { result } = await runShell({ run: `: ${'x'.repeat(300_000)}\necho end=1 >> "$KEELSON_OUTPUT"` });
    assert.deepEqual(result, { outcome: 'succeeded', outputs: { end: '1' } });
  });

  it('fails a task whose outputs are malformed', async () => {
    const reason = await failure({ run: 'echo nonsense > "$KEELSON_OUTPUT"' });
    assert.equal(reason.code, 'bad-output');
    assert.match(reason.message, /line 1.*nonsense/);
  });

  it('comes to its end when the attempt is stopped', async () => {
    const stop = new AbortController();
    const onLog = (log: string) => {
      if (log.includes('started')) stop.abort();
    };
    const reason = await failure({ run: 'echo started; sleep 60; true' }, { signal: stop.signal, onLog });
    assert.equal(reason.signal, 'SIGTERM');
  });

  it('refuses a rendered input that does not fit, with the path', async () => {
    const reason = await failure({ run: 'true', shell: 'fish' });
    assert.equal(reason.code, 'bad-input');
    assert.match(reason.message, /with\.shell/);
    assert.equal((await failure({ run: 'echo \0' })).code, 'bad-input');
  });
});
