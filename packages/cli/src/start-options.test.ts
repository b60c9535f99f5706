import assert from 'node:assert/strict';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { oneOf, parseParams, parseRunTime, readParamsFile } from './start-options.ts';

test('text stays text, JSON is typed, the later one wins', () => {
  assert.deepEqual(parseParams(['a=1', 'b:=1', 'c=', 'd:=["x"]', 'e=k=v:=w', 'a=2', 'f=x\ny']), {
    a: '2',
    b: 1,
    c: '',
    d: ['x'],
    e: 'k=v:=w',
    f: 'x\ny',
  });
  assert.deepEqual(Object.keys(parseParams(['__proto__=x'])), ['__proto__'], 'a name like any other');
});

test('any text survives', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => assert.deepEqual(parseParams([`x=${text}`]), { x: text })),
  );
});

test('what is no parameter is refused by name', () => {
  for (const bad of ['', '=x', 'a', '1a=x', 'a b=x'])
    assert.throws(() => parseParams([bad]), { exitCode: 2, message: /a parameter is NAME=VALUE/ });
  assert.throws(() => parseParams(['a:={']), { exitCode: 2, message: /-p a:=…: this is not JSON/ });
});

test('a time keeps its offset; without one it is the local time', () => {
  assert.equal(parseRunTime('2026-01-31T08:00:00+08:00'), '2026-01-31T08:00:00+08:00');
  assert.equal(parseRunTime('2026-01-31 08:00Z'), '2026-01-31T08:00:00Z');
  assert.equal(parseRunTime('2026-01-31'), new Date(2026, 0, 31).toISOString());
  assert.equal(parseRunTime('2026-01-31T08:30'), new Date(2026, 0, 31, 8, 30).toISOString());
  for (const bad of ['yesterday', '2026-02-30', '2026-13-01', '2026-01-31T25:00', '31.1.2026', '']) {
    assert.throws(() => parseRunTime(bad), { exitCode: 2 }, bad);
  }
});

test('a file of parameters is YAML or JSON, and a map', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-params-'));
  const read = async (text: string) => {
    await writeFile(join(folder, 'p.yaml'), text);
    return readParamsFile(folder, 'p.yaml');
  };
  assert.deepEqual(await read('day: 2026-01-31\nn: 3\n'), { day: '2026-01-31', n: 3 });
  assert.deepEqual(await read('{"a": [1]}'), { a: [1] });
  await assert.rejects(read('- a'), { message: /must be a map/ });
  await assert.rejects(read('a: [1'), { message: /p\.yaml: / });
  await assert.rejects(readParamsFile(folder, 'none.yaml'), {
    message: '--params-file none.yaml: there is no such file',
  });
});

test('one of several words, with the nearest one named', () => {
  assert.equal(oneOf('--state', 'failed', ['failed', 'running']), 'failed');
  assert.throws(() => oneOf('--state', 'faild', ['failed', 'running']), {
    exitCode: 2,
    advice: 'did you mean "failed"?',
  });
});
