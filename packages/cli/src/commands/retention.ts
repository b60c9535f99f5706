import type { Removed, RetentionPolicy } from '@keelson/protocol';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { CliFailure, usageFailure } from '../failure.ts';
import { tableLines } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines } from '../terminal/terminal.ts';
import { counted, localTime, plain, sizeText } from '../terminal/text.ts';

const SUBJECTS: Readonly<Record<keyof RetentionPolicy['installation'], string>> = {
  succeeded: 'instances that succeeded, with their tasks and history',
  unsuccessful: 'instances that failed or were stopped',
  logs: 'logs of tasks',
  fires: 'fires of schedules, and ended backfills',
  alerts: 'alerts that were delivered',
  'command-errors': 'commands that could not be applied',
  workers: 'workers that have ended',
  blobs: 'files and artifacts that nothing names any more',
};

interface SetOptions extends ConnectedOptions {
  readonly project?: string;
}
interface RunOptions extends ConnectedOptions {
  readonly dryRun?: true;
}

export function define(command: Command, terminal: Terminal): void {
  command.description(
    'How long what is kept. What is past its time is removed by the masters, every hour, in small pieces; what lives is never touched.',
  );
  connected(command.command('show'))
    .description('Shows the rules, those of projects, and what the last run removed.')
    .action(async (options: ConnectedOptions) => show(terminal, options));
  connected(command.command('set'))
    .argument(
      '<rule...>',
      `SUBJECT=TIME: ${Object.keys(SUBJECTS).join(', ')}; 90d, 12h, forever or, of a project, inherit`,
    )
    .description('Sets rules. A project may have its own for succeeded, unsuccessful, logs and fires.')
    .option('-p, --project <name>', 'the rules of this project, which go before those of the installation')
    .action(async (rules: string[], options: SetOptions) => set(terminal, rules, options));
  connected(command.command('run'))
    .description('Removes what is past its time now, without waiting for the hour.')
    .option('--dry-run', 'only say how much would go')
    .action(async (options: RunOptions) => run(terminal, options));
  examples(command, [
    ['keelson retention set succeeded=30d unsuccessful=30d', ''],
    ['keelson retention set -p audit succeeded=forever', 'this project is kept'],
    ['keelson retention run --dry-run', 'how much would go'],
  ]);
}

async function show(terminal: Terminal, options: ConnectedOptions): Promise<void> {
  const client = await connect(terminal, options);
  const policy = await client.getRetention();
  if (options.json === true) return printJson(terminal, policy);
  printLines(terminal, policyLines(terminal, policy));
}

function policyLines(terminal: Terminal, { installation, projects, lastRun }: RetentionPolicy): string[] {
  const rows = [
    ...Object.entries(SUBJECTS).map(([subject, meaning]) => [
      '',
      subject,
      installation[subject as keyof typeof SUBJECTS],
      meaning,
    ]),
    ...Object.entries(projects).flatMap(([project, rules]) =>
      Object.entries(rules).map(([subject, keep = '']) => [plain(project), subject, keep, '']),
    ),
  ];
  return [
    ...tableLines(terminal, ['PROJECT', 'SUBJECT', 'KEPT', 'WHAT'], rows),
    '',
    lastRun === null
      ? 'Nothing has been removed yet'
      : `Last run at ${localTime(lastRun.beganAt)}: ${lastRun.endedAt === null ? 'not ended' : `removed ${amounts(lastRun.removed)}`}`,
  ];
}

async function set(terminal: Terminal, rules: readonly string[], options: SetOptions): Promise<void> {
  const keep = Object.fromEntries(rules.map(ruleOf));
  const client = await connect(terminal, options);
  const policy = await client.putRetention({
    ...(options.project === undefined ? {} : { project: options.project }),
    keep,
  });
  if (options.json === true) return printJson(terminal, policy);
  printLines(terminal, policyLines(terminal, policy));
}

function ruleOf(rule: string): [string, string] {
  const [subject = '', time] = rule.split('=', 2);
  if (!Object.hasOwn(SUBJECTS, subject) || time === undefined || time === '')
    throw usageFailure(
      `${JSON.stringify(rule)} is no rule`,
      `a rule is SUBJECT=TIME, with one of ${Object.keys(SUBJECTS).join(', ')} and 90d, 12h or forever`,
    );
  return [subject, time];
}

async function run(terminal: Terminal, options: RunOptions): Promise<void> {
  const client = await connect(terminal, options);
  const dryRun = options.dryRun === true;
  let all: Removed | undefined;
  for (;;) {
    const { outcome, removed, more } = await client.runRetention({ dryRun });
    if (outcome === 'busy')
      throw new CliFailure(
        'retention-busy',
        'a master is removing at this moment: `keelson retention show` tells when it has ended',
      );
    const before = all;
    all =
      before === undefined
        ? removed
        : (Object.fromEntries(
            Object.entries(removed).map(([kind, count]) => [kind, count + before[kind as keyof Removed]]),
          ) as Removed);
    // What is in use now is left to the next hour.
    if (!more || Object.values(removed).every((count) => count === 0)) break;
  }
  if (options.json === true) return printJson(terminal, { dryRun, removed: all });
  printLines(terminal, `${dryRun ? 'Would remove' : 'Removed'} ${amounts(all)}`);
}

function amounts(removed: Removed): string {
  const { instances, partitions, logs, fires, alerts, commandErrors, workers, blobs, blobBytes } = removed;
  const parts = [
    [instances, `instances`],
    [partitions, 'whole partitions'],
    [logs, 'pieces of logs'],
    [fires, 'fires'],
    [alerts, 'alerts'],
    [commandErrors, 'command errors'],
    [workers, 'workers'],
  ] as const;
  const said = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  if (blobs > 0) said.push(`${counted(blobs, 'blob')} (${sizeText(blobBytes)})`);
  return said.length === 0 ? 'nothing' : said.join(', ');
}
