import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openWorld } from '../testing/world.ts';
import { createTokens } from './tokens.ts';

test('a token is seen once, and then only recognised', async (t) => {
  const { pool, sql } = await openWorld(t);
  const tokens = createTokens(pool);
  const { info, token } = await tokens.create({ name: 'ci', role: 'operator' });
  assert.match(token, /^kls_[A-Za-z0-9_-]{43}$/);
  const holder = { id: info.id, name: 'ci', role: 'operator' };
  assert.deepEqual(await tokens.verify(token), holder);
  assert.deepEqual(await createTokens(pool).verify(token), holder, 'in another process');
  for (const wrong of [
    '',
    'kls_',
    token.slice(0, -1),
    `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`,
    info.id,
  ]) {
    assert.equal(await tokens.verify(wrong), undefined, wrong);
  }
  assert.ok(!JSON.stringify(await sql('select * from api_token')).includes(token.slice(4)));
  await assert.rejects(tokens.create({ name: 'x', role: 'root' as 'admin' }), { code: 'invalid-role' });
});

test('a revoked or expired token is nobody', async (t) => {
  const { pool } = await openWorld(t);
  const tokens = createTokens(pool);
  const kept = await tokens.create({ name: 'kept', role: 'viewer', expiresAt: '2999-01-01T00:00:00Z' });
  const expired = await tokens.create({ name: 'expired', role: 'viewer', expiresAt: '2020-01-01T00:00:00Z' });
  const revoked = await tokens.create({ name: 'revoked', role: 'worker' });
  assert.ok(await tokens.verify(revoked.token));
  assert.deepEqual(await tokens.revoke(revoked.info.id), { workers: [] });
  assert.equal(await tokens.verify(revoked.token), undefined, 'at once where it was revoked');
  assert.equal(await createTokens(pool).verify(revoked.token), undefined);
  assert.equal(await tokens.verify(expired.token), undefined);
  assert.ok(await tokens.verify(kept.token));
  assert.deepEqual(
    [await tokens.revoke(revoked.info.id), await tokens.revoke('12345'), await tokens.revoke('x')],
    [undefined, undefined, undefined],
  );
  const listed = await tokens.list();
  assert.deepEqual(
    listed.map(({ name, revokedAt, expiresAt }) => [name, revokedAt !== null, expiresAt]),
    [
      ['revoked', true, null],
      ['expired', false, '2020-01-01T00:00:00.000Z'],
      ['kept', false, '2999-01-01T00:00:00.000Z'],
    ],
  );
});

test('another process trusts a revoked token for some seconds at most', async (t) => {
  let now = 1_000_000;
  const { pool } = await openWorld(t);
  const [here, there] = [createTokens(pool), createTokens(pool, { now: () => now })];
  const { token, info } = await here.create({ name: 'ci', role: 'viewer' });
  assert.ok(await there.verify(token));
  await here.revoke(info.id);
  assert.ok(await there.verify(token), 'trusted still');
  now += 5000;
  assert.equal(await there.verify(token), undefined);
});
