import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readInput } from './input-reading.ts';
import { pythonTask } from './python/schema.ts';

test('a rendered value of the wrong kind is named with what it should be', () => {
  const reading = readInput(pythonTask, { script: 'pass', python: 'python3', args: ['a', [1, 2]] });
  assert.ok(!reading.ok && reading.result.outcome === 'failed');
  assert.equal(
    reading.result.reason.message,
    "the task's input does not fit: with.args[1]: must be a text, a number, true or false",
  );
});
