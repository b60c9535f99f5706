import { BACKFILL_STATES } from '@keelson/protocol';
import type { Command } from 'commander';
import { backfillStateText, progressText } from '../backfill/lines.ts';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples, integer } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { parseWorkflowName } from '../names.ts';
import { oneOf } from '../start-options.ts';
import { tableLines } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines, remark } from '../terminal/terminal.ts';
import { localTime, plain } from '../terminal/text.ts';

interface BackfillsOptions extends ConnectedOptions {
  readonly workflow?: string;
  readonly state?: string;
  readonly limit?: number;
}

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .description('Lists backfills with their progress, newest first.')
    .option('--workflow <name>', 'only those of [project/]workflow')
    .option('--state <state>', `only those in this state (${BACKFILL_STATES.join(', ')})`)
    .option('--limit <n>', 'so many (default: 50)', integer(1, 500))
    .action(async (options: BackfillsOptions) => backfills(terminal, options));
  examples(command, [['keelson backfills --state running', 'what is under way']]);
}

async function backfills(terminal: Terminal, options: BackfillsOptions): Promise<void> {
  const state = options.state === undefined ? undefined : oneOf('--state', options.state, BACKFILL_STATES);
  const of = options.workflow === undefined ? {} : parseWorkflowName(options.workflow);
  const client = await connect(terminal, options);
  const { items, next } = await client.listBackfills({ ...of, state, limit: options.limit });
  if (options.json === true) return printJson(terminal, items);
  if (items.length === 0) return remark(terminal, 'No backfills');
  const paint = painter(terminal.stdout, terminal.env);
  const rows = items.map((one) => [
    one.id,
    `${one.project}/${one.workflow}`,
    backfillStateText(one, paint),
    progressText(one, paint),
    localTime(one.createdAt),
    plain(one.createdBy),
    one.lastError === null ? '' : plain(one.lastError),
  ]);
  printLines(terminal, tableLines(terminal, ['ID', 'WORKFLOW', 'STATE', 'PROGRESS', 'CREATED', 'BY', ''], rows));
  if (next !== null) remark(terminal, `The newest ${items.length}; --limit shows more`);
}
