/**
 * Writes the files that are made from the code: docs/openapi.json, docs/workflow.schema.json and the marked parts of
 * some pages of docs/.
 *
 *   node scripts/generate.ts            writes them
 *   node scripts/generate.ts --check    writes nothing; exits 1 and names those that differ
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { definitionJsonSchema } from '@keelson/core';
import { taskTypes } from '@keelson/tasks';
import manifest from '../package.json' with { type: 'json' };
import { openApiDocument } from '../packages/server/src/api/openapi/openapi-document.ts';
import { generatedPages } from './docs-pages.ts';

const ROOT = new URL('../', import.meta.url);

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

const files: Readonly<Record<string, string>> = {
  'docs/openapi.json': json(await openApiDocument(manifest.version)),
  'docs/workflow.schema.json': json(definitionJsonSchema(taskTypes)),
  ...(await generatedPages(ROOT)),
};

const check = process.argv.includes('--check');
const stale: string[] = [];
for (const [path, text] of Object.entries(files)) {
  const committed = await readFile(new URL(path, ROOT), 'utf8').catch(() => undefined);
  if (committed === text) continue;
  stale.push(path);
  if (check) continue;
  await mkdir(new URL('docs/', ROOT), { recursive: true });
  await writeFile(new URL(path, ROOT), text);
  console.log(`wrote ${path}`);
}
if (check && stale.length > 0) {
  console.error(
    `${stale.join(' and ')} ${stale.length === 1 ? 'is' : 'are'} not what the code says: run npm run generate and commit the result`,
  );
  process.exitCode = 1;
}
