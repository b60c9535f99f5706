import assert from 'node:assert/strict';
import { test } from 'node:test';

import { definitionFromObject, parseDefinition } from './parse.ts';
import { sampleTaskTypes } from './testing/task-types.ts';

const options = { taskTypes: sampleTaskTypes };

test('text that no database can store is refused where it stands', () => {
  const text = String.raw`name: a
description: "x\0y"
params: { p: { type: string, default: "\ud800" } }
tasks:
  t: { run: "printf \0", labels: { "k\0": v } }
`;
  const { definition, issues } = parseDefinition(text, options);
  assert.equal(definition, undefined);
  assert.deepEqual(
    issues.map(({ code, path, line, message }) => [code, path, line, message]),
    [
      ['bad-text', 'description', 2, 'the text holds a NUL character (U+0000), which cannot be stored'],
      ['bad-text', 'params.p.default', 3, 'the text holds half of a surrogate pair, which cannot be stored'],
      ['bad-text', 'tasks.t.run', 5, 'the text holds a NUL character (U+0000), which cannot be stored'],
      ['bad-text', 'tasks.t.labels["k\\u0000"]', 5, 'the key holds a NUL character (U+0000), which cannot be stored'],
    ],
  );
  const object = { name: 'a', title: '\udc00', tasks: { t: { run: 'x' } } };
  assert.deepEqual(
    definitionFromObject(object, options).issues.map(({ code, path }) => [code, path]),
    [['bad-text', 'title']],
  );
});
