import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readResumption, wholeCharacters } from './log-follow.ts';
import { startOfLastLines } from './task-log.ts';

test('text that is cut anywhere comes out whole', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }).map((text) => text.toWellFormed()),
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
      (text, sizes) => {
        const bytes = Buffer.from(text);
        const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
        let out = '';
        let from = 0;
        let until = 0;
        for (let index = 0; until < bytes.length; index++) {
          until = Math.min(bytes.length, until + (sizes[index % sizes.length] ?? 1));
          const whole = wholeCharacters(bytes.subarray(from, until));
          out += decoder.decode(bytes.subarray(from, from + whole));
          from += whole;
        }
        assert.equal(from, bytes.length);
        assert.equal(out, text);
      },
    ),
  );
});

test('octets that are no text are passed on, at most three are held back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 50 }), (bytes) => {
      const whole = wholeCharacters(bytes);
      assert.ok(whole >= bytes.length - 3 && whole <= bytes.length);
    }),
  );
});

test('the last lines are those that a person would count', () => {
  const last = (text: string, lines: number): string | undefined => {
    const start = startOfLastLines(Buffer.from(text), lines);
    return start === undefined ? undefined : text.slice(start);
  };
  assert.equal(last('a\nb\nc\n', 1), 'c\n');
  assert.equal(last('a\nb\nc\n', 2), 'b\nc\n');
  assert.equal(last('a\nb\nc', 2), 'b\nc');
  assert.equal(last('a\nb\n', 0), '');
  assert.equal(last('a\n\n', 1), '\n');
  assert.equal(last('a\nb\n', 2), undefined);
  assert.equal(last('', 1), undefined);
});

test('only an id of this stream resumes it', () => {
  assert.deepEqual(readResumption('2:4096'), { attempt: 2, offset: 4096 });
  for (const text of [undefined, '', '4096', '2:', ':1', '-1:2', '1:2:3', '1:1e3'])
    assert.equal(readResumption(text), undefined);
});
