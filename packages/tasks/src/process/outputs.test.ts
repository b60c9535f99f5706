import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseOutputs, readOutputs } from './outputs.ts';

const parse = (text: string) => parseOutputs(Buffer.from(text));

function problem(text: string | Uint8Array): string {
  const reading = parseOutputs(Buffer.from(text as string));
  assert.ok(!reading.ok, 'expected the outputs to be refused');
  assert.equal(reading.reason.code, 'bad-output');
  return reading.reason.message;
}

describe('parseOutputs', () => {
  it('takes text verbatim and JSON typed', () => {
    const reading = parse('a=1\nb:=1\nc:={"x":[true,null]}\nd= with = and := inside \ne=\n');
    assert.deepEqual(reading, {
      ok: true,
      outputs: { a: '1', b: 1, c: { x: [true, null] }, d: ' with = and := inside ', e: '' },
    });
  });

  it('tolerates CRLF, empty lines and a byte order mark, and lets the last value of a key stand', () => {
    assert.deepEqual(parse('\ufeffa=1\r\n\r\n\na=2\r\nb:=3\r\n'), { ok: true, outputs: { a: '2', b: 3 } });
  });

  it('refuses __proto__, which the server would take for an attack, at any depth', () => {
    assert.match(problem('a=1\n__proto__=x'), /line 2: the line has the key "__proto__"/);
    assert.match(problem('a:={"b":[{"__proto__":1}]}'), /the value of "a" has the key "__proto__"/);
    assert.deepEqual(parse('constructor=x\ntoString=y'), { ok: true, outputs: { constructor: 'x', toString: 'y' } });
  });

  it('names line and text of what is malformed', () => {
    assert.match(problem('a=1\nhello world\n'), /line 2: .*"hello world"/);
    assert.match(problem('1a=x'), /line 1/);
    assert.match(problem('a-b=x'), /line 1/);
    assert.match(problem('a:={oops'), /line 1: the value of "a" after := is no JSON: "\{oops"/);
  });

  it('refuses binary data clearly', () => {
    assert.match(problem(new Uint8Array([0x61, 0x3d, 0xff, 0xfe])), /binary data/);
    assert.match(problem('a=x\0y'), /line 1: binary data/);
  });

  it('refuses what the database could not store', () => {
    assert.match(problem('a:="\\u0000"'), /NUL/);
    assert.match(problem('a:={"k":["\\ud800"]}'), /surrogate/);
    assert.match(problem(`a:=${'['.repeat(5000)}${']'.repeat(5000)}`), /nested deeper/);
  });

  it('takes values up to 64 KiB, counted in bytes', () => {
    assert.equal(parse(`a=${'x'.repeat(65_536)}`).ok, true);
    assert.match(problem(`a=${'x'.repeat(65_537)}`), /"a" is larger than 64 KiB/);
    assert.match(problem(`a=${'é'.repeat(32_769)}`), /larger than 64 KiB/);
  });

  it('gives back any typed values that were written', () => {
    const key = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,10}$/);
    const value = fc.jsonValue({ maxDepth: 3 }).filter((item) => parse(`a:=${JSON.stringify(item)}`).ok);
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value)), fc.constantFrom('\n', '\r\n'), (entries, end) => {
        const text = entries.map(([name, item]) => `${name}:=${JSON.stringify(item)}${end}`).join('');
        const expected: unknown = JSON.parse(JSON.stringify(Object.fromEntries(entries)));
        assert.deepEqual(parse(text), { ok: true, outputs: expected });
      }),
    );
  });

  it('gives back any one-line texts that were written', () => {
    const line = fc.string({ unit: 'binary' }).filter((text) => !/[\n\r\0]/.test(text));
    fc.assert(fc.property(line, (text) => assert.deepEqual(parse(`a=${text}\n`), { ok: true, outputs: { a: text } })));
  });

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => assert.equal(typeof parseOutputs(bytes).ok, 'boolean')),
    );
  });
});

describe('readOutputs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keelson-outputs-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

  async function refusal(name: string): Promise<string> {
    const reading = await readOutputs(join(folder, name));
    assert.ok(!reading.ok);
    assert.equal(reading.reason.code, 'bad-output');
    return reading.reason.message;
  }

  it('takes a removed file for one without outputs', async () => {
    assert.deepEqual(await readOutputs(join(folder, 'none')), { ok: true, outputs: {} });
  });

  it('follows no link', async () => {
    writeFileSync(join(folder, 'target'), 'a=1\n');
    symlinkSync('target', join(folder, 'link'));
    assert.match(await refusal('link'), /ELOOP/);
  });

  it('does not wait on a pipe', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    assert.match(await refusal('pipe'), /no plain file/);
  });

  it('refuses a huge file without reading it', async () => {
    writeFileSync(join(folder, 'huge'), '');
    truncateSync(join(folder, 'huge'), 2 ** 40);
    assert.match(await refusal('huge'), /at most 1024 KiB/);
  });
});
