import type { BackfillDetail, BackfillRun } from '@keelson/protocol';
import { BACKFILL_RUN_STATES, MAX_BACKFILL_PARALLEL } from '@keelson/protocol';
import type { KeelsonClient } from '@keelson/sdk/client';
import type { Command } from 'commander';
import { backfillStateText, detailLines, previewLines, runLines } from '../backfill/lines.ts';
import { requestFrom } from '../backfill/request.ts';
import type { BackfillOptions } from '../backfill/request.ts';
import { waitForBackfill } from '../backfill/wait.ts';
import { collect, connected, examples, integer } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { AlreadyShown, usageFailure } from '../failure.ts';
import { parseWorkflowName } from '../names.ts';
import { oneOf } from '../start-options.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines, remark } from '../terminal/terminal.ts';

const OPERATIONS = ['show', 'pause', 'resume', 'cancel'] as const;
type Operation = (typeof OPERATIONS)[number];
const MOST_FAILED_SHOWN = 20;

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .argument('<name>', '[project/]workflow; or show, pause, resume, cancel')
    .argument('[id]', 'the backfill to show, pause, resume or cancel')
    .description(
      'Runs a workflow for past dates: every time of its trigger on them, or 00:00 of each date without one. Times that have succeeded are left out.',
    )
    .option('--from <date>', 'first local date, included')
    .option('--to <date>', 'last local date, included')
    .option('--date <date>', 'a local date, or a time such as 2026-01-31T06:00; may be given several times', collect)
    .option('--trigger <id>', 'the trigger whose times are meant')
    .option('--parallel <n>', 'runs under way at once (default: 1)', integer(1, MAX_BACKFILL_PARALLEL))
    .option('--descending', 'begin with the last date')
    .option('--dependents', 'also the workflows that depend on it, each after its upstreams of the same time')
    .option('-p, --param <name=value>', 'a parameter, as for "run"; may be given several times', collect)
    .option('--params-file <file>', 'parameters from a YAML or JSON file; -p wins')
    .option('--priority <n>', 'from -100 to 100 (default: -10, behind live schedules)', integer(-100, 100))
    .option('--version <n>', 'this version of the workflow (default: the latest)', integer(1, 2_147_483_647))
    .option('--again', 'also times that have succeeded already')
    .option('--on-failure <what>', 'stop or continue after a run that did not succeed (default: continue)')
    .option('--idempotency-key <key>', 'the same key again makes nothing new')
    .option('--dry-run', 'only say what would run, and what would be left out')
    .option('-w, --wait', 'wait for the end; Ctrl-C leaves it running')
    .option('--stop', 'cancel: also stop the instances that are under way')
    .option('--state <state>', `show: only runs in this state (${BACKFILL_RUN_STATES.join(', ')})`)
    .option('--limit <n>', 'show: so many runs (default: 50)', integer(1, 500))
    .action(
      async (name: string, id: string | undefined, { version, ...rest }: BackfillOptions & { version?: number }) => {
        const options = { ...rest, ...(version !== undefined && { workflowVersion: version }) };
        return id === undefined ? create(terminal, name, options) : operate(terminal, name, id, options);
      },
    );
  examples(command, [
    ['keelson backfill daily-sales --from 2026-01-01 --to 2026-01-31 --dry-run', 'look first'],
    ['keelson backfill daily-sales --from 2026-01-01 --to 2026-01-31 --parallel 4 --wait', 'four days at once'],
    ['keelson backfill demo/extract --date 2026-01-05 --dependents --again', 'a day once more, and what follows'],
    ['keelson backfill show 12 --state failed', 'progress, and the runs that failed'],
    ['keelson backfill cancel 12 --stop', 'end it, and what is under way'],
  ]);
}

async function create(terminal: Terminal, name: string, options: BackfillOptions): Promise<void> {
  if (OPERATIONS.some((operation) => operation === name) && options.from === undefined && options.date === undefined)
    throw usageFailure(`which backfill? keelson backfill ${name} ID`, '"keelson backfills" lists them');
  const { project, workflow } = parseWorkflowName(name);
  const request = await requestFrom(terminal.cwd, options);
  const client = await connect(terminal, options);
  const json = options.json === true;
  const paint = painter(terminal.stdout, terminal.env);
  if (options.dryRun === true) {
    const preview = await client.previewBackfill(project, workflow, request);
    return json ? printJson(terminal, preview) : printLines(terminal, previewLines(preview, terminal, paint));
  }
  const { idempotencyKey } = options;
  const made = await client.createBackfill(project, workflow, {
    ...request,
    ...(idempotencyKey !== undefined && { idempotencyKey }),
  });
  if (options.wait === true) return waitForEnd(client, made.id, terminal, json);
  if (json) return printJson(terminal, made);
  printLines(terminal, detailLines(made, paint));
  if (made.endedAt === null && terminal.stdout.isTTY === true)
    remark(terminal, `Watch it: keelson backfill show ${made.id} --wait`);
}

async function waitForEnd(client: KeelsonClient, id: string, terminal: Terminal, json: boolean): Promise<void> {
  const ended = await waitForBackfill(client, id, terminal, json);
  if (json) printJson(terminal, ended);
  else
    printLines(terminal, [
      ...detailLines(ended, painter(terminal.stdout, terminal.env)),
      ...(await why(client, ended, terminal)),
    ]);
  if (ended.succeeded !== true) throw new AlreadyShown();
}

/** The runs that kept it from succeeding, as far as there are not too many. */
async function why(client: KeelsonClient, { id, succeeded }: BackfillDetail, terminal: Terminal): Promise<string[]> {
  if (succeeded === true) return [];
  const bad: BackfillRun[] = [];
  for (const state of ['failed', 'stopped'] as const)
    bad.push(...(await client.listBackfillRuns(id, { state, limit: MOST_FAILED_SHOWN })).items);
  if (bad.length === 0) return [];
  return [
    '',
    ...runLines(bad.slice(0, MOST_FAILED_SHOWN), terminal, painter(terminal.stdout, terminal.env), Date.now()),
  ];
}

async function operate(terminal: Terminal, name: string, id: string, options: BackfillOptions): Promise<void> {
  const operation = oneOf('backfill', name, OPERATIONS);
  const client = await connect(terminal, options);
  if (operation === 'show') return show(client, id, terminal, options);
  const answer = await ask(client, operation, id, options.stop === true);
  if (options.wait === true) return waitForEnd(client, id, terminal, options.json === true);
  if (options.json === true) return printJson(terminal, answer);
  const stopping = answer.stopping > 0 ? `; ${answer.stopping} instances are being stopped` : '';
  const already = answer.outcome === 'already' && stopping === '' ? ' already' : '';
  const paint = painter(terminal.stdout, terminal.env);
  const state = backfillStateText({ state: answer.state, succeeded: null }, paint);
  printLines(terminal, `Backfill ${id} is ${state}${already}${stopping}`);
}

function ask(client: KeelsonClient, operation: Exclude<Operation, 'show'>, id: string, stop: boolean) {
  if (operation === 'pause') return client.pauseBackfill(id);
  return operation === 'resume' ? client.resumeBackfill(id) : client.cancelBackfill(id, { stop });
}

async function show(client: KeelsonClient, id: string, terminal: Terminal, options: BackfillOptions): Promise<void> {
  const json = options.json === true;
  if (options.wait === true) return waitForEnd(client, id, terminal, json);
  const state = options.state === undefined ? undefined : oneOf('--state', options.state, BACKFILL_RUN_STATES);
  const [backfill, runs] = await Promise.all([
    client.getBackfill(id),
    client.listBackfillRuns(id, { state, limit: options.limit }),
  ]);
  if (json) return printJson(terminal, { ...backfill, runs: runs.items });
  const paint = painter(terminal.stdout, terminal.env);
  printLines(terminal, [...detailLines(backfill, paint), '', ...runLines(runs.items, terminal, paint, Date.now())]);
  if (runs.next !== null) remark(terminal, `The first ${runs.items.length} runs; --limit and --state show others`);
}
