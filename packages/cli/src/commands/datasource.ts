import type { Datasource } from '@keelson/protocol';
import type { Command } from 'commander';
import { Option } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples, integer, withProject } from '../command.ts';
import { connect } from '../connection/connect.ts';
import type { DatasourceFlags } from '../datasource-options.ts';
import { DATASOURCE_KINDS, readDatasource, refusePasswordInArgument } from '../datasource-options.ts';
import { CliFailure, usageFailure } from '../failure.ts';
import { readSecret } from '../read-secret.ts';
import { tableLines } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines, remark } from '../terminal/terminal.ts';
import { elapsedText, localTime, plain } from '../terminal/text.ts';

interface DatasourceOptions extends ConnectedOptions {
  readonly project: string;
}

interface SetOptions extends DatasourceOptions, DatasourceFlags {
  /** False with `--no-password`. */
  readonly password: boolean;
}

export function define(command: Command, terminal: Terminal): void {
  command.description('Databases that sql tasks of a project use by name. The password is encrypted at rest.');
  withProject(connected(command.command('set')))
    .argument('<name>', 'the name of the datasource')
    .argument('[url]', 'as in postgresql://user@host:5432/database, without the password')
    .description(
      'Sets a datasource. The password is read from standard input; without URL and options, the whole URL is.',
    )
    .addOption(new Option('--kind <kind>', 'the kind of database').choices(DATASOURCE_KINDS))
    .option('--host <host>', 'host name or address')
    .option('--port <port>', 'default: 5432 or 3306', integer(1, 65_535))
    .option('--database <name>', 'the name of the database')
    .option('--user <name>', 'the user')
    .option('--tls', 'only over TLS, with the certificate checked')
    .option('--no-password', 'it has none; standard input is not read')
    .action(async (name: string, url: string | undefined, options: SetOptions) => set(terminal, name, url, options));
  withProject(connected(command.command('list')))
    .description('Lists the datasources.')
    .action(async (options: DatasourceOptions) => list(terminal, options));
  withProject(connected(command.command('test')))
    .argument('<name>', 'the name of the datasource')
    .description('Lets the server connect to it and ask "select 1".')
    .action(async (name: string, options: DatasourceOptions) => test(terminal, name, options));
  withProject(connected(command.command('delete')))
    .argument('<name>', 'the name of the datasource')
    .description('Deletes a datasource.')
    .action(async (name: string, options: DatasourceOptions) => remove(terminal, name, options));
  examples(command, [
    ['keelson datasource set warehouse postgresql://etl@db:5432/sales < password.txt', 'password from a file'],
    ['echo "$DATABASE_URL" | keelson datasource set warehouse', 'the whole URL from a pipe'],
    ['keelson datasource test warehouse', 'can the server reach it?'],
  ]);
}

async function set(terminal: Terminal, name: string, url: string | undefined, options: SetOptions): Promise<void> {
  const { kind, host, port, database, user, tls } = options;
  const flags: DatasourceFlags = { kind, host, port, database, user, tls };
  const whole = url === undefined && [kind, host, database, user].every((value) => value === undefined);
  if (whole && !options.password) throw usageFailure('--no-password needs a URL or options');
  if (url !== undefined) refusePasswordInArgument(url);
  const request = readDatasource(whole ? await readSecret(terminal, `URL of ${name}`) : url, flags);
  const password =
    whole || !options.password ? request.password : await readSecret(terminal, `Password of ${request.user}`);
  const client = await connect(terminal, options);
  await client.putDatasource(options.project, name, {
    ...request,
    ...(password !== undefined && password !== '' && { password }),
  });
  if (options.json === true) return printJson(terminal, { project: options.project, name });
  printLines(
    terminal,
    `Datasource ${name} of project ${options.project} is set; "keelson datasource test ${name}" tries it`,
  );
}

async function list(terminal: Terminal, options: DatasourceOptions): Promise<void> {
  const client = await connect(terminal, options);
  const { items } = await client.listDatasources(options.project);
  if (options.json === true) return printJson(terminal, items);
  if (items.length === 0) return remark(terminal, `Project ${options.project} has no datasources`);
  printLines(terminal, tableLines(terminal, ['NAME', 'DATABASE', 'PASSWORD', 'TLS', 'SET', 'BY'], items.map(row)));
}

function row({ name, config, hasPassword, updatedAt, updatedBy }: Datasource): string[] {
  const port = config.port === undefined ? '' : `:${config.port}`;
  const address = `${config.kind}://${config.user}@${config.host}${port}/${config.database}`;
  return [
    name,
    plain(address),
    hasPassword ? 'yes' : 'no',
    config.tls === true ? 'yes' : '',
    localTime(updatedAt),
    plain(updatedBy),
  ];
}

async function test(terminal: Terminal, name: string, options: DatasourceOptions): Promise<void> {
  const client = await connect(terminal, options);
  const answer = await client.testDatasource(options.project, name);
  if (options.json === true) printJson(terminal, answer);
  if (!answer.ok)
    throw new CliFailure('datasource-failed', `${name}: ${answer.error?.message ?? 'the database does not answer'}`);
  if (options.json !== true)
    printLines(
      terminal,
      `${name} answers in ${elapsedText(answer.elapsedMs)}${answer.serverVersion === null ? '' : ` (${plain(answer.serverVersion)})`}`,
    );
}

async function remove(terminal: Terminal, name: string, options: DatasourceOptions): Promise<void> {
  const client = await connect(terminal, options);
  await client.deleteDatasource(options.project, name);
  if (options.json === true) printJson(terminal, { project: options.project, name });
  else printLines(terminal, `Datasource ${name} of project ${options.project} is deleted`);
}
