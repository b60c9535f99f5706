import assert from 'node:assert/strict';
import { test } from 'node:test';

import { canonicalJson } from './canonical-json.ts';
import { definitionJsonSchema } from './json-schema.ts';
import { sampleTaskTypes } from './testing/task-types.ts';

test('the published schema is closed, knows x- keys and each task type', () => {
  const schema = definitionJsonSchema(sampleTaskTypes) as unknown as {
    $schema: string;
    additionalProperties: boolean;
    patternProperties: object;
    properties: {
      tasks: {
        additionalProperties: {
          properties: { uses: { enum: string[] } };
          allOf: object[];
          additionalProperties: boolean;
        };
      };
    };
    $defs: Record<string, { properties: object; required: string[] }>;
  };
  assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema');
  assert.equal(schema.additionalProperties, false);
  assert.deepEqual(schema.patternProperties, { '^x-': {} });
  const task = schema.properties.tasks.additionalProperties;
  assert.equal(task.additionalProperties, false);
  assert.deepEqual(task.properties.uses.enum, ['shell', 'node', 'http', 'sql']);
  assert.equal(task.allOf.length, 4);
  assert.deepEqual(Object.keys(schema.$defs['with-http']?.properties ?? {}), ['url', 'method', 'headers']);
  assert.deepEqual(schema.$defs['with-http']?.required, ['url']);
});

test('every reference in the published schema leads somewhere', () => {
  const schema = definitionJsonSchema(sampleTaskTypes);
  const refs = [...JSON.stringify(schema).matchAll(/"\$ref":"#([^"]*)"/g)].map((match) => match[1] ?? '');
  assert.ok(refs.length > 4);
  for (const ref of new Set(refs)) {
    const target = ref
      .split('/')
      .slice(1)
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], schema);
    assert.notEqual(target, undefined, ref);
  }
});

test('canonical JSON does not depend on the order of keys, and keeps that of lists', () => {
  assert.equal(canonicalJson({ b: 1, a: [{ d: 1, c: undefined }, 2] }), '{"a":[{"d":1},2],"b":1}');
  assert.equal(canonicalJson({ a: 1, B: 2, é: 3 }), canonicalJson({ é: 3, B: 2, a: 1 }));
  assert.notEqual(canonicalJson([1, 2]), canonicalJson([2, 1]));
});
