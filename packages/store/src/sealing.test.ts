import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { seal, unseal } from './sealing.ts';
import { parseSecretKey } from './secret-key.ts';

const key = randomBytes(32);
const owner = { kind: 'secret', project: 'demo', name: 'TOKEN' } as const;

test('what was sealed opens again, and looks different each time', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (value) => {
      const sealed = seal(key, owner, value);
      assert.equal(unseal(key, owner, sealed), value);
      assert.ok(!sealed.equals(seal(key, owner, value)));
    }),
  );
});

test('nothing opens with another key, for another owner, or changed by one bit', () => {
  const sealed = seal(key, owner, 'value');
  const wrong = { code: 'wrong-secret-key', message: /^the secret demo\/TOKEN cannot be decrypted/ };
  assert.throws(() => unseal(randomBytes(32), owner, sealed), wrong);
  assert.throws(() => unseal(key, { ...owner, name: 'OTHER' }, sealed), { code: 'wrong-secret-key' });
  assert.throws(() => unseal(key, { ...owner, project: 'demo2' }, sealed), { code: 'wrong-secret-key' });
  assert.throws(() => unseal(key, { ...owner, kind: 'datasource' }, sealed), { code: 'wrong-secret-key' });
  for (let index = 0; index < sealed.length; index++) {
    const changed = Buffer.from(sealed);
    changed[index] = (changed[index] ?? 0) ^ 1;
    assert.throws(() => unseal(key, owner, changed), { code: 'wrong-secret-key' }, `byte ${index}`);
  }
  assert.throws(() => unseal(key, owner, sealed.subarray(0, 20)), { code: 'wrong-secret-key' });
});

test('a key is 32 bytes as base64, base64url or hex, and is not repeated in the error', () => {
  for (const encoding of ['base64', 'base64url', 'hex'] as const)
    assert.deepEqual(parseSecretKey(` ${key.toString(encoding)}\n`), key);
  for (const text of ['', 'password', randomBytes(16).toString('hex'), randomBytes(33).toString('base64')]) {
    assert.throws(
      () => parseSecretKey(text),
      (error: Error & { code: string }) =>
        error.code === 'invalid-secret-key' && (text === '' || !error.message.includes(text)),
    );
  }
});
