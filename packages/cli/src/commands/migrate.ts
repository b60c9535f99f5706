import type { Command } from 'commander';
import { examples, withJson } from '../command.ts';
import { onDatabase, requiredDatabaseUrl, withDatabaseUrl } from '../database-access.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines } from '../terminal/terminal.ts';

interface MigrateOptions {
  readonly databaseUrl?: string;
  readonly json?: true;
}

export function define(command: Command, terminal: Terminal): void {
  withDatabaseUrl(withJson(command))
    .description(
      'Brings the schema of a database up to date. Forward only; a newer schema than this release knows is refused.',
    )
    .action(async (options: MigrateOptions) => migrate(terminal, options));
  examples(command, [['KEELSON_DATABASE_URL=postgresql://keelson@db/keelson keelson migrate', '']]);
}

async function migrate(terminal: Terminal, options: MigrateOptions): Promise<void> {
  const url = requiredDatabaseUrl(terminal, options.databaseUrl);
  const { migrateDatabase } = await import('@keelson/server');
  const applied = await onDatabase(url, () => migrateDatabase(url));
  if (options.json === true) return printJson(terminal, { applied });
  printLines(terminal, applied.length === 0 ? 'The schema is up to date' : applied.map((name) => `applied ${name}`));
}
