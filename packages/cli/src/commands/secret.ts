import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples, withProject } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { usageFailure } from '../failure.ts';
import { readSecret } from '../read-secret.ts';
import { tableLines } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines, remark } from '../terminal/terminal.ts';
import { localTime, plain } from '../terminal/text.ts';

interface SecretOptions extends ConnectedOptions {
  readonly project: string;
}

export function define(command: Command, terminal: Terminal): void {
  command.description(
    'Secrets of a project: encrypted at rest, masked in logs, never given out again. Tasks read them as ${{ secrets.NAME }}.',
  );
  withProject(connected(command.command('set')))
    .argument('<name>', 'the name of the secret')
    .description('Sets a secret. The value is read from standard input; on a terminal it is asked for and not shown.')
    .action(async (name: string, options: SecretOptions) => set(terminal, name, options));
  withProject(connected(command.command('list')))
    .description('Lists the names of the secrets.')
    .action(async (options: SecretOptions) => list(terminal, options));
  withProject(connected(command.command('delete')))
    .argument('<name>', 'the name of the secret')
    .description('Deletes a secret.')
    .action(async (name: string, options: SecretOptions) => remove(terminal, name, options));
  examples(command, [
    ['keelson secret set API_KEY -p demo < key.txt', 'from a file'],
    ['keelson secret set API_KEY -p demo', 'typed in, not shown'],
  ]);
}

async function set(terminal: Terminal, name: string, options: SecretOptions): Promise<void> {
  const client = await connect(terminal, options);
  const value = await readSecret(terminal, `Value of ${name}`);
  if (value === '')
    throw usageFailure(
      'a secret cannot be empty: no value came on standard input',
      `printf '%s' "$VALUE" | keelson secret set ${name}`,
    );
  await client.putSecret(options.project, name, value);
  if (options.json === true) printJson(terminal, { project: options.project, name });
  else printLines(terminal, `Secret ${name} of project ${options.project} is set`);
}

async function list(terminal: Terminal, options: SecretOptions): Promise<void> {
  const client = await connect(terminal, options);
  const { items } = await client.listSecrets(options.project);
  if (options.json === true) return printJson(terminal, items);
  if (items.length === 0) return remark(terminal, `Project ${options.project} has no secrets`);
  printLines(
    terminal,
    tableLines(
      terminal,
      ['NAME', 'SET', 'BY'],
      items.map(({ name, updatedAt, updatedBy }) => [name, localTime(updatedAt), plain(updatedBy)]),
    ),
  );
}

async function remove(terminal: Terminal, name: string, options: SecretOptions): Promise<void> {
  const client = await connect(terminal, options);
  await client.deleteSecret(options.project, name);
  if (options.json === true) printJson(terminal, { project: options.project, name });
  else printLines(terminal, `Secret ${name} of project ${options.project} is deleted`);
}
