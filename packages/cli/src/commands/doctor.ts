import type { DoctorRepairs, DoctorReport } from '@keelson/protocol';
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
  readonly fix?: true;
}

type Findings = DoctorReport['findings'];
type Repairs = DoctorRepairs['repairs'];

export function define(command: Command, terminal: Terminal): void {
  withDatabaseUrl(connected(command))
    .description(
      'Checks the invariants over the live data. Each finding is a rule and the rows that break it; a healthy system has none.',
    )
    .option('--fix', 'repair what can be repaired safely; each repair is written to the history of its instance')
    .action(async (options: DoctorOptions) => doctor(terminal, options));
  examples(command, [
    ['keelson doctor', 'through the server'],
    ['keelson doctor --fix', 'repair what can be repaired safely, and say what is left'],
    ['keelson doctor --database-url postgresql://keelson@db/keelson', 'straight on the database'],
  ]);
}

async function doctor(terminal: Terminal, options: DoctorOptions): Promise<void> {
  const { repairs, findings } =
    options.databaseUrl === undefined
      ? await throughServer(terminal, options)
      : await directly(terminal, options.databaseUrl, options.fix === true);
  const healthy = findings.every(({ rows }) => rows.length === 0);
  if (options.json === true) printJson(terminal, { healthy, ...(options.fix === true ? { repairs } : {}), findings });
  else {
    const paint = painter(terminal.stdout, terminal.env);
    printLines(terminal, [...repairLines(repairs, paint), ...reportLines(findings, paint)]);
  }
  if (!healthy) throw new AlreadyShown();
}

interface Report {
  readonly repairs: Repairs;
  readonly findings: Findings;
}

async function throughServer(terminal: Terminal, options: DoctorOptions): Promise<Report> {
  const client = await connect(terminal, options);
  if (options.fix !== true) return { repairs: [], findings: (await client.getDoctorReport()).findings };
  const { repairs, left } = await client.repairByDoctor();
  return { repairs, findings: left.findings };
}

async function directly(terminal: Terminal, option: string, fix: boolean): Promise<Report> {
  const url = requiredDatabaseUrl(terminal, option);
  const { checkDatabase, repairDatabase } = await import('@keelson/server');
  const { repairs, findings } = await onDatabase(url, async () =>
    fix
      ? repairDatabase(url, `doctor (${terminal.env['USER'] ?? 'on the database'})`)
      : { repairs: [], findings: await checkDatabase(url) },
  );
  return {
    repairs: [...repairs],
    findings: findings.map(({ pace: _pace, ...finding }) => ({ ...finding, rows: [...finding.rows] })),
  };
}

function repairLines(repairs: Repairs, paint: Paint): string[] {
  return repairs.map(
    ({ rule, instanceId, message }) =>
      `${paint('yellow', '✎')} ${paint('bold', rule)}: instance ${instanceId ?? '-'}: ${plain(message)}`,
  );
}

const MOST_ROWS = 10;

function reportLines(findings: Findings, paint: Paint): string[] {
  const broken = findings.filter(({ rows }) => rows.length > 0);
  if (broken.length === 0)
    return [
      `${paint('green', '✔')} healthy: no row breaks ${findings.length === 0 ? 'any invariant' : `any of ${counted(findings.length, 'invariant')}`}`,
    ];
  return broken.flatMap(({ name, explanation, rows, why, meaning, repair, byHand }) => {
    const more = rows.length > MOST_ROWS ? [`    … and ${rows.length - MOST_ROWS} more`] : [];
    return [
      `${paint('red', '✖')} ${paint('bold', name)}: ${plain(explanation)}`,
      ...rows.slice(0, MOST_ROWS).map((row) => `    ${plain(JSON.stringify(row))}`),
      ...more,
      ...adviceLines({ why, meaning, repair, byHand }),
    ];
  });
}

function adviceLines({
  why,
  meaning,
  repair,
  byHand,
}: Pick<Findings[number], 'why' | 'meaning' | 'repair' | 'byHand'>): string[] {
  return [
    ...(why === undefined ? [] : [`    never, because ${plain(why)}`]),
    ...(meaning === undefined ? [] : [`    means: ${plain(meaning)}`]),
    ...(typeof repair === 'string' ? [`    --fix: ${plain(repair)}`] : []),
    ...(typeof byHand === 'string' ? [`    by hand: ${plain(byHand)}`] : []),
  ];
}
