import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createMasker, maskText } from './masker.ts';

function inChunks(text: string, secrets: readonly string[], cuts: readonly number[]): string {
  const masker = createMasker(secrets);
  const bytes = Buffer.from(text);
  const borders = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  const parts = borders.slice(1).map((end, index) => Buffer.from(masker.write(bytes.subarray(borders[index], end))));
  return Buffer.concat([...parts, masker.end()]).toString();
}

describe('masker', () => {
  it('masks each secret, the longest first', () => {
    assert.equal(maskText('a hunter2 b hunter2-long c', ['hunter2', 'hunter2-long']), 'a *** b *** c');
    assert.equal(maskText('nothing here', ['hunter2']), 'nothing here');
  });

  it('leaves values under four characters alone', () => {
    assert.equal(maskText('abc abcd', ['abc']), 'abc abcd');
    assert.equal(maskText('abc abcd', ['', 'abcd']), 'abc ***');
  });

  it('finds a secret in JSON, in a URL, and line by line', () => {
    assert.equal(maskText('{"p":"a\\"b c"} ?p=a%22b%20c', ['a"b c']), '{"p":"***"} ?p=***');
    assert.equal(maskText('x first-line\r\nsecond-line y', ['first-line\nsecond-line']), 'x ***\r\n*** y');
  });

  it('masks over the border of two chunks, wherever it lies', () => {
    for (let cut = 0; cut <= 14; cut += 1) assert.equal(inChunks('pw=hunter2 end', ['hunter2'], [cut]), 'pw=*** end');
  });

  it('gives the same whatever the chunks, and never lets a secret through', () => {
    const secret = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 4, maxLength: 7 });
    const text = fc
      .array(fc.oneof(secret, fc.constantFrom('a', 'b', 'ab', 'x')), { maxLength: 12 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(
        fc.array(secret, { minLength: 1, maxLength: 3 }),
        text,
        fc.array(fc.nat(60), { maxLength: 5 }),
        (secrets, whole, cuts) => {
          const masked = inChunks(whole, secrets, cuts);
          assert.equal(masked, maskText(whole, secrets));
          for (const value of secrets) assert.ok(!masked.includes(value));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('masks a secret of which a gap took a part', () => {
    const masker = createMasker(['hunter2-long']);
    const text = (part: Uint8Array): string => Buffer.from(part).toString();
    assert.equal(text(masker.write(Buffer.from('pw=hunter'))), 'pw=');
    assert.equal(text(masker.cut()), '***');
    assert.equal(text(masker.write(Buffer.from('long and more'))), '*** and more');
  });
});
