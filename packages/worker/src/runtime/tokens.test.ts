import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createTokenTable } from './tokens.ts';

it('remembers the last finished tokens, and forgets the oldest first', () => {
  const table = createTokenTable<string>(3);
  for (const token of ['a', 'b', 'c', 'd']) {
    table.hold(token, token);
    table.done(token);
  }
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((token) => table.isDone(token)),
    [false, true, true, true],
  );
  assert.equal(table.heldTokens().length, 0);
});
