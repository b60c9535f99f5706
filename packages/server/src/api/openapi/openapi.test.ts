import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import manifest from '../../../../../package.json' with { type: 'json' };
import { openApiDocument } from './openapi-document.ts';

test('docs/openapi.json is what the code says', async () => {
  const committed = JSON.parse(await readFile(new URL('../../../../../docs/openapi.json', import.meta.url), 'utf8'));
  assert.deepEqual(await openApiDocument(manifest.version), committed, 'run npm run generate');
});

test('every reference of the OpenAPI document leads somewhere, and every route says what it is for', async () => {
  const document = await openApiDocument('0');
  const { components, paths } = document as {
    components: { schemas: Record<string, unknown> };
    paths: Record<string, Record<string, { summary?: string }>>;
  };
  for (const [, name = ''] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
    assert.ok(name in components.schemas, name);
  }
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { summary }] of Object.entries(methods)) assert.ok(summary, `${method} ${path}`);
  }
});
