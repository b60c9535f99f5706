import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JsonObject } from '@keelson/core';
import { testContext, type TestContextOptions } from '../testing/context.ts';
import { run } from './run.ts';

async function runPython(input: JsonObject, options?: TestContextOptions) {
  await using test = testContext(input, options);
  const result = await run(test.context);
  return { result, log: test.log() };
}

const WRITE_ARGS =
  'import os, sys, json\nopen(os.environ["KEELSON_OUTPUT"], "a").write("args:=" + json.dumps(sys.argv[1:]) + "\\n")\n';

describe('python', () => {
  it('runs a script with arguments of any text', async () => {
    const { result } = await runPython({ script: WRITE_ARGS, args: ['a b', '"; $(x)', 7] });
    assert.deepEqual(result, { outcome: 'succeeded', outputs: { args: ['a b', '"; $(x)', '7'] } });
  });

  it('runs a file of the workflow, also one whose name looks like an option', async () => {
    for (const file of ['jobs/main.py', '-x.py']) {
      const { result } = await runPython({ file, args: ['1'] }, { files: { [file]: WRITE_ARGS } });
      assert.deepEqual(result, { outcome: 'succeeded', outputs: { args: ['1'] } });
    }
  });

  it('lets scripts of any length import the files of the workflow', async () => {
    for (const script of ['import lib', `import lib\n# ${'x'.repeat(200_000)}`]) {
      const { result, log } = await runPython({ script }, { files: { 'lib.py': 'print("imported")' } });
      assert.equal(result.outcome, 'succeeded', log);
      assert.equal(log, 'imported\n');
    }
  });

  it('shows what is printed while the task still runs', async () => {
    const stop = new AbortController();
    const onLog = (log: string) => {
      if (log.endsWith('first\n')) stop.abort();
    };
    const { result, log } = await runPython(
      { script: 'import time\nprint("first")\ntime.sleep(60)' },
      { signal: stop.signal, onLog },
    );
    assert.equal(result.outcome, 'failed');
    assert.equal(log, 'first\n');
  });

  it('puts the traceback in the log and the exit code in the reason', async () => {
    const { result, log } = await runPython({ script: 'raise ValueError("bad day")' });
    assert.ok(result.outcome === 'failed');
    assert.equal(result.reason.exitCode, 1);
    assert.match(log, /Traceback[^]*ValueError: bad day/);
  });

  it('names an interpreter that is not there', async () => {
    const { result } = await runPython({ script: 'pass', python: 'python-not-here' });
    assert.ok(result.outcome === 'failed');
    assert.equal(result.reason.code, 'command-not-found');
    assert.match(result.reason.message, /python-not-here/);
  });

  it('wants exactly one of script and file', async () => {
    for (const input of [{}, { script: 'pass', file: 'x.py' }]) {
      const { result } = await runPython(input);
      assert.ok(result.outcome === 'failed');
      assert.match(result.reason.message, /exactly one of script and file/);
    }
  });
});
