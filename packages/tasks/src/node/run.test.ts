import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JsonObject } from '@keelson/core';
import { testContext, type TestContextOptions } from '../testing/context.ts';
import { run } from './run.ts';
import { bundledModulePath } from './schema.ts';

async function runNode(input: JsonObject, options?: TestContextOptions) {
  await using test = testContext(input, options);
  const result = await run(test.context);
  return { result, log: test.log() };
}

async function failure(input: JsonObject, options?: TestContextOptions) {
  const { result, log } = await runNode(input, options);
  assert.ok(result.outcome === 'failed', `expected a failure; log: ${log}`);
  return { ...result.reason, log };
}

const script = (body: string) => ({
  script: `export default async ({ args, inputDir, outputDir, log, signal }) => { ${body} };`,
});

describe('bundledModulePath', () => {
  it('gives one path to one module and different paths to different modules', () => {
    assert.equal(bundledModulePath('./lib/clean.ts'), '.keelson/modules/lib~1clean.ts.mjs');
    assert.equal(bundledModulePath('lib//./clean.ts'), bundledModulePath('./lib/clean.ts'));
    const paths = ['a/b.ts', 'a~1b.ts', 'a~/b.ts', 'a/~b.ts', 'a_b.ts', 'a/b.js'];
    assert.equal(new Set(paths.map(bundledModulePath)).size, paths.length);
  });
});

describe('node', () => {
  it('calls the default export of a bundled module and takes what it returns for the outputs', async () => {
    const files = {
      [bundledModulePath('./clean.ts')]:
        'export default ({ args, inputDir, outputDir }) => ({ sum: args.a + args.b, dirs: inputDir !== outputDir, none: undefined, list: [1, "x\\n"] });',
    };
    const { result } = await runNode({ module: './clean.ts', args: { a: 1, b: 2 } }, { files });
    assert.deepEqual(result, { outcome: 'succeeded', outputs: { sum: 3, dirs: true, list: [1, 'x\n'] } });
  });

  it('runs a script with top-level code, which may import the files of the workflow', async () => {
    const { result, log } = await runNode(
      { script: 'import { x } from "./x.mjs"; console.log(x, process.argv.length);' },
      { files: { 'x.mjs': 'export const x = 5;' } },
    );
    assert.deepEqual(result, { outcome: 'succeeded', outputs: {} });
    assert.equal(log, '5 1\n');
  });

  it('logs by level', async () => {
    const { log } = await runNode(script('log("plain"); log.info("n=%d", 1); log.write("raw\\n");'));
    assert.equal(log, 'plain\nn=1\nraw\n');
    assert.equal(
      (await runNode(script('log.warn("w"); log.error("e"); log.debug("d");'))).log,
      'warning: w\nerror: e\ndebug: d\n',
    );
  });

  it('fails with the message, and with the stack in the log', async () => {
    const reason = await failure(script('await null; throw new RangeError("no such day")'));
    assert.equal(reason.code, 'module-error');
    assert.equal(reason.message, 'RangeError: no such day');
    assert.match(reason.log, /RangeError: no such day\n\s+at .*keelson-script\.mjs/);
  });

  it('fails on an error that was thrown outside the promise', async () => {
    const reason = await failure(
      script('setImmediate(() => { throw new Error("late") }); await new Promise(() => setInterval(() => {}, 1000));'),
    );
    assert.equal(reason.message, 'Error: late');
  });

  it('tells a promise that can never settle', async () => {
    const reason = await failure(script('await new Promise(() => {});'));
    assert.match(reason.message, /never settled/);
  });

  it('ends although the module left a timer open, and loses none of its output', async () => {
    const { result, log } = await runNode(
      script('setInterval(() => {}, 1000); log("x".repeat(300000)); return { ok: true };'),
    );
    assert.deepEqual(result, { outcome: 'succeeded', outputs: { ok: true } });
    assert.equal(log.length, 300_001);
  });

  it('refuses what is no object of outputs', async () => {
    assert.match((await failure(script('return [1]'))).message, /must return an object/);
    assert.match((await failure(script('return { "a-b": 1 }'))).message, /output key "a-b"/);
    assert.match((await failure(script('return { n: 1n }'))).message, /BigInt/);
  });

  it('aborts the signal on SIGTERM, and lets the module clean up', async () => {
    const stop = new AbortController();
    const onLog = (log: string) => {
      if (log.endsWith('ready\n')) stop.abort();
    };
    const body =
      'const t = setInterval(() => {}, 1000); log("ready"); await new Promise((done) => signal.addEventListener("abort", done)); log("cleaned up");';
    const { result, log } = await runNode(script(body), { signal: stop.signal, onLog });
    assert.equal(result.outcome, 'succeeded');
    assert.equal(log, 'ready\ncleaned up\n');
  });

  it('ends at once on SIGTERM when the module never took the signal', async () => {
    const stop = new AbortController();
    const onLog = (log: string) => {
      if (log.endsWith('ready\n')) stop.abort();
    };
    const input = {
      script: 'export default ({ log }) => { log("ready"); return new Promise(() => setInterval(() => {}, 1000)); }',
    };
    assert.equal((await failure(input, { signal: stop.signal, onLog })).signal, 'SIGTERM');
  });

  it('says what is missing', async () => {
    assert.equal((await failure({ module: './gone.ts' })).code, 'module-missing');
    const files = { [bundledModulePath('m.ts')]: 'export const x = 1;' };
    assert.match((await failure({ module: 'm.ts' }, { files })).message, /no default export/);
    assert.match((await failure({ script: 'import "./gone.mjs"' })).message, /gone\.mjs/);
  });

  it('refuses module paths that lead elsewhere', async () => {
    for (const module of ['../x.ts', '/x.ts', 'x.txt']) {
      assert.equal((await failure({ module })).code, 'bad-input');
    }
  });
});
