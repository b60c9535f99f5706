import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { migrate } from '../postgres/schema/migrate.ts';
import { testDatabase } from './postgres.ts';
import type { CleanUp, TestDatabase } from './postgres.ts';

/** A database with the newest schema, copied from a template that is made once for this text of the migrations. */
export async function migratedDatabase(test?: CleanUp): Promise<TestDatabase> {
  const options = { template: await schemaHash(), prepare: async (url: string) => void (await migrate(url)) };
  return test === undefined ? testDatabase(options) : testDatabase(test, options);
}

async function schemaHash(): Promise<string> {
  const directory = new URL('../postgres/schema/migrations/', import.meta.url);
  const hash = createHash('sha256');
  for (const file of (await readdir(directory)).toSorted()) hash.update(await readFile(new URL(file, directory)));
  return `schema_${hash.digest('hex').slice(0, 16)}`;
}
