import type { VerifyReport } from '@keelson/protocol';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { onDatabase, requiredDatabaseUrl, withDatabaseUrl } from '../database-access.ts';
import { AlreadyShown, usageFailure } from '../failure.ts';
import type { Paint, Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines } from '../terminal/terminal.ts';
import { counted, plain } from '../terminal/text.ts';

interface VerifyCommandOptions extends ConnectedOptions {
  readonly databaseUrl?: string;
  readonly since?: string;
  readonly instance?: string;
}

export function define(command: Command, terminal: Terminal): void {
  withDatabaseUrl(connected(command))
    .description(
      'Folds the stored history of each instance and compares what it tells with the rows. It takes no lock and may run while the system is at work.',
    )
    .option('--instance <id>', 'only this instance')
    .option('--since <id|time>', 'only instances from this id on, or created at this time (RFC 3339) or later')
    .action(async (options: VerifyCommandOptions) => verify(terminal, options));
  examples(command, [
    ['keelson verify', 'everything, through the server'],
    ['keelson verify --since 2026-01-01T00:00:00Z', 'what was started since then'],
    ['keelson verify --database-url postgresql://keelson@db/keelson', 'straight on the database'],
  ]);
}

async function verify(terminal: Terminal, options: VerifyCommandOptions): Promise<void> {
  const which = { instance: idOf('--instance', options.instance), since: sinceOf(options.since) };
  const report =
    options.databaseUrl === undefined
      ? await (await connect(terminal, options)).verify(which)
      : await verifyDirectly(terminal, options.databaseUrl, which);
  if (options.json === true) printJson(terminal, report);
  else printLines(terminal, reportLines(report, painter(terminal.stdout, terminal.env)));
  if (report.violations.length > 0) throw new AlreadyShown();
}

async function verifyDirectly(
  terminal: Terminal,
  option: string,
  which: { readonly instance: string | undefined; readonly since: string | undefined },
): Promise<VerifyReport> {
  const url = requiredDatabaseUrl(terminal, option);
  const { verifyDatabase } = await import('@keelson/server');
  return onDatabase(url, () => verifyDatabase(url, which));
}

function idOf(option: string, text: string | undefined): string | undefined {
  if (text === undefined || /^\d{1,18}$/.test(text)) return text;
  throw usageFailure(`${option} ${JSON.stringify(text)} is no instance id: give the number that "keelson run" printed`);
}

function sinceOf(text: string | undefined): string | undefined {
  if (text === undefined || /^\d{1,18}$/.test(text)) return text;
  const time = /^\d{4}-\d{2}-\d{2}T/.test(text) ? new Date(text) : new Date(Number.NaN);
  if (!Number.isNaN(time.getTime())) return time.toISOString();
  throw usageFailure(
    `--since ${JSON.stringify(text)} is neither an instance id nor a time such as 2026-01-01T00:00:00Z`,
  );
}

const MOST_LINES = 100;

function reportLines({ instances, events, violations, more }: VerifyReport, paint: Paint): string[] {
  const looked = `${counted(instances, 'instance')}, ${counted(events, 'event')}`;
  if (violations.length === 0) return [`${paint('green', '✔')} ${looked}: the history says what the rows say`];
  const rest = violations.length - MOST_LINES;
  return [
    ...violations
      .slice(0, MOST_LINES)
      .flatMap(({ instanceId, task, check, expected, found }) => [
        `${paint('red', '✖')} ${paint('bold', check)}: instance ${instanceId}${task === null ? '' : `, task ${task}`}`,
        `    expected ${plain(expected)}`,
        `    found    ${plain(found)}`,
      ]),
    ...(rest > 0 ? [`… and ${rest} more`] : []),
    `${counted(violations.length, 'violation')} in ${looked}${more ? '; the rest was not looked at' : ''}`,
  ];
}
