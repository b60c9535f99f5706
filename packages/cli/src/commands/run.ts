import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { collect, connected, examples, integer } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { AlreadyShown } from '../failure.ts';
import { parseWorkflowName } from '../names.ts';
import { parseParams, parseRunTime, readParamsFile } from '../start-options.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines, remark } from '../terminal/terminal.ts';
import { failureReport } from '../watch/failure-report.ts';
import { watchToEnd } from '../watch/watch-instance.ts';
import type { KeelsonClient } from '@keelson/sdk/client';

interface RunOptions extends ConnectedOptions {
  readonly param?: readonly string[];
  readonly paramsFile?: string;
  readonly at?: string;
  readonly workflowVersion?: number;
  readonly priority?: number;
  readonly idempotencyKey?: string;
  readonly wait?: true;
  readonly follow?: true;
}

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .argument('<name>', '[project/]workflow')
    .description(
      'Starts a workflow instance. With --wait: shows its tasks until it ends, and fails if it does not succeed.',
    )
    .option(
      '-p, --param <name=value>',
      'a parameter; NAME:=JSON for a typed value; may be given several times',
      collect,
    )
    .option('--params-file <file>', 'parameters from a YAML or JSON file; -p wins')
    .option('--at <time>', 'the time the run is for, as in 2026-01-31T08:00:00+08:00 (default: now)')
    .option('--version <n>', 'this version of the workflow (default: the latest)', integer(1, 2_147_483_647))
    .option('--priority <n>', 'from -100 to 100; higher starts first (default: 0)', integer(-100, 100))
    .option('--idempotency-key <key>', 'the same key again starts nothing new')
    .option('-w, --wait', 'wait for the end; Ctrl-C leaves it running')
    .option('-f, --follow', 'print the logs of all tasks while waiting')
    .action(async (name: string, { version, ...options }: RunOptions & { version?: number }) =>
      run(terminal, name, { ...options, ...(version !== undefined && { workflowVersion: version }) }),
    );
  examples(command, [
    ['keelson run daily-sales', 'start and print the id'],
    ['keelson run demo/daily-sales --wait', 'watch it to its end'],
    ['keelson run daily-sales -p day=2026-01-31 -p tags:=\'["a"]\' --follow', 'with parameters; see the logs'],
  ]);
}

async function run(terminal: Terminal, name: string, options: RunOptions): Promise<void> {
  const { project, workflow } = parseWorkflowName(name);
  const fromFile = options.paramsFile === undefined ? {} : await readParamsFile(terminal.cwd, options.paramsFile);
  const params = { ...fromFile, ...parseParams(options.param ?? []) };
  const runTime = options.at === undefined ? undefined : parseRunTime(options.at);
  const client = await connect(terminal, options);
  const started = await client.start(project, workflow, {
    ...(Object.keys(params).length > 0 && { params }),
    ...(runTime !== undefined && { runTime }),
    ...(options.workflowVersion !== undefined && { version: options.workflowVersion }),
    ...(options.priority !== undefined && { priority: options.priority }),
    ...(options.idempotencyKey !== undefined && { idempotencyKey: options.idempotencyKey }),
  });
  const json = options.json === true;
  const waits = options.wait === true || options.follow === true;
  if (!waits) {
    if (json) return printJson(terminal, started);
    const paint = painter(terminal.stdout, terminal.env);
    printLines(
      terminal,
      `${started.repeated ? 'Already started: instance' : 'Started instance'} ${paint('bold', started.id)} of ${project}/${workflow} v${started.version}`,
    );
    if (terminal.stdout.isTTY === true)
      remark(terminal, `Watch it: keelson show ${started.id} --wait    Stop it: keelson stop ${started.id}`);
    return;
  }
  await waitForEnd(client, started.id, terminal, { follow: options.follow === true, json });
}

/** Watches an instance; on its end prints what came of it, and throws unless it succeeded. */
export async function waitForEnd(
  client: KeelsonClient,
  id: string,
  terminal: Terminal,
  options: { readonly follow: boolean; readonly json: boolean },
): Promise<void> {
  const ended = await watchToEnd(client, id, terminal, options);
  if (options.json) {
    const detail = await client.getInstance(id);
    // After log lines, one object a line, the last one is one line too.
    if (options.follow) printLines(terminal, JSON.stringify({ instance: detail }));
    else printJson(terminal, detail);
  } else if (ended.state !== 'succeeded') {
    printLines(terminal, await failureReport(client, ended, painter(terminal.stdout, terminal.env)));
  }
  if (ended.state !== 'succeeded') throw new AlreadyShown();
}
