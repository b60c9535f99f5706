import type { DoctorReport } from '@keelson/protocol';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { onDatabase, requiredDatabaseUrl, withDatabaseUrl } from '../database-access.ts';
import { AlreadyShown } from '../failure.ts';
import type { Paint, Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines } from '../terminal/terminal.ts';
import { counted, plain } from '../terminal/text.ts';

interface DoctorOptions extends ConnectedOptions {
  readonly databaseUrl?: string;
}

type Findings = DoctorReport['findings'];

export function define(command: Command, terminal: Terminal): void {
  withDatabaseUrl(connected(command))
    .description(
      'Checks the invariants over the live data. Each finding is a rule and the rows that break it; a healthy system has none.',
    )
    .action(async (options: DoctorOptions) => doctor(terminal, options));
  examples(command, [
    ['keelson doctor', 'through the server'],
    ['keelson doctor --database-url postgresql://keelson@db/keelson', 'straight on the database'],
  ]);
}

async function doctor(terminal: Terminal, options: DoctorOptions): Promise<void> {
  const findings =
    options.databaseUrl === undefined
      ? (await (await connect(terminal, options)).getDoctorReport()).findings
      : await checkDirectly(terminal, options.databaseUrl);
  const healthy = findings.every(({ rows }) => rows.length === 0);
  if (options.json === true) printJson(terminal, { healthy, findings });
  else printLines(terminal, reportLines(findings, painter(terminal.stdout, terminal.env)));
  if (!healthy) throw new AlreadyShown();
}

async function checkDirectly(terminal: Terminal, option: string): Promise<Findings> {
  const url = requiredDatabaseUrl(terminal, option);
  const { checkDatabase } = await import('@keelson/server');
  return (await onDatabase(url, () => checkDatabase(url))).map(({ name, explanation, rows }) => ({
    name,
    explanation,
    rows: [...rows],
  }));
}

const MOST_ROWS = 10;

function reportLines(findings: Findings, paint: Paint): string[] {
  const broken = findings.filter(({ rows }) => rows.length > 0);
  if (broken.length === 0)
    return [
      `${paint('green', '✔')} healthy: no row breaks ${findings.length === 0 ? 'any invariant' : `any of ${counted(findings.length, 'invariant')}`}`,
    ];
  return broken.flatMap(({ name, explanation, rows }) => {
    const more = rows.length > MOST_ROWS ? [`    … and ${rows.length - MOST_ROWS} more`] : [];
    return [
      `${paint('red', '✖')} ${paint('bold', name)}: ${plain(explanation)}`,
      ...rows.slice(0, MOST_ROWS).map((row) => `    ${plain(JSON.stringify(row))}`),
      ...more,
    ];
  });
}
