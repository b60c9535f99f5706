import { readdir, readFile } from 'node:fs/promises';

/** A file of the migrations: `0003_cluster.sql` is version 3. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly text: string;
  /**
   * The oldest schema version that a release may have been written for and still work after this migration. The migration's own version:
   * it breaks every older release.
   */
  readonly compatibleFrom: number;
}

const DIRECTORY = new URL('./migrations/', import.meta.url);
const DECLARED = /^-- compatible-from: *(\d+|breaking) *$/m;

/** The migrations that this release knows, oldest first. One that does not declare `-- compatible-from: VERSION` is breaking. */
export async function readMigrations(directory: URL = DIRECTORY): Promise<Migration[]> {
  const files = (await readdir(directory)).filter((file) => file.endsWith('.sql')).toSorted();
  return Promise.all(
    files.map(async (name) => {
      const version = Number(name.slice(0, 4));
      const text = await readFile(new URL(name, directory), 'utf8');
      const declared = DECLARED.exec(text)?.[1];
      const compatibleFrom = declared === undefined || declared === 'breaking' ? version : Number(declared);
      return { version, name, text, compatibleFrom };
    }),
  );
}

/** The newest schema version that this release knows. */
export async function knownSchemaVersion(directory?: URL): Promise<number> {
  return (await readMigrations(directory)).at(-1)?.version ?? 0;
}
