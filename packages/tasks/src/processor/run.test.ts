import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { testContext } from '../testing/context.ts';
import { processorRun } from './run.ts';
import type { Processor } from './processor.ts';

async function runProcessor(processor: Processor, args = {}) {
  const test = testContext({ processor: 'f', args });
  const result = await processorRun(new Map([['f', processor]]))(test.context);
  return { result, test };
}

describe('processor', () => {
  it('gives the function its arguments and takes its outputs', async () => {
    const { result, test } = await runProcessor(
      async ({ args, log, progress, instanceId, task, attempt, signal }) => {
        log.info('working');
        log.warn('careful');
        progress(0.5, 'half');
        return { args, where: `${instanceId}/${task}#${attempt}`, aborted: signal.aborted };
      },
      { n: 1 },
    );
    assert.deepEqual(result, {
      outcome: 'succeeded',
      outputs: { args: { n: 1 }, where: 'instance-1/task#1', aborted: false },
    });
    assert.equal(test.log(), 'working\nwarning: careful\n');
    assert.deepEqual(test.progress, [{ fraction: 0.5, message: 'half' }]);
  });

  it('takes functions that return nothing, at once or later', async () => {
    const nothing = { outcome: 'succeeded', outputs: {} };
    assert.deepEqual((await runProcessor(() => {})).result, nothing);
    assert.deepEqual((await runProcessor(async () => {})).result, nothing);
  });

  it('fails with the message, and with the stack in the log', async () => {
    const { result, test } = await runProcessor(() => {
      throw new TypeError('no such thing');
    });
    assert.deepEqual(result, {
      outcome: 'failed',
      reason: { code: 'processor-error', message: 'TypeError: no such thing' },
    });
    assert.match(test.log(), /TypeError: no such thing\n\s+at /);
  });

  it('survives a thrown value that is no error', async () => {
    const { result } = await runProcessor(() => {
      throw Object.create(null);
    });
    assert.equal(result.outcome, 'failed');
  });

  it('refuses outputs that are none', async () => {
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    for (const bad of [
      [1],
      'text',
      new Date(0),
      { 'a-b': 1 },
      { n: 1n },
      cyclic,
      { x: 'y\0' },
      { x: 'y'.repeat(70_000) },
    ]) {
      const { result } = await runProcessor(() => bad as never);
      assert.ok(result.outcome === 'failed', inspect(bad));
      assert.equal(result.reason.code, 'bad-output');
    }
  });

  it('names an unknown processor and the known ones', async () => {
    const { context } = testContext({ processor: 'g' });
    const result = await processorRun(new Map([['f', () => {}]]))(context);
    assert.ok(result.outcome === 'failed');
    assert.equal(result.reason.code, 'unknown-processor');
    assert.match(result.reason.message, /"g".*has f$/);
  });
});
