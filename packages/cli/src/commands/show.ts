import type { InstanceDetail, TaskInstanceDetail } from '@keelson/protocol';
import type { KeelsonClient } from '@keelson/sdk/client';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { parseTaskName } from '../names.ts';
import { askedLines } from '../operations/asked-lines.ts';
import { countsText, hasEnded, stateSymbol, stateText } from '../terminal/states.ts';
import { tableLines } from '../terminal/table.ts';
import type { Paint, Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines } from '../terminal/terminal.ts';
import { elapsedText, localTime, plain, sizeText } from '../terminal/text.ts';
import { frameLines } from '../watch/frame.ts';
import { watchedOf } from '../watch/instance-model.ts';
import { broadcastText } from '../watch/task-line.ts';
import { layoutTree } from '../watch/task-tree.ts';
import { waitForEnd } from './run.ts';

interface ShowOptions extends ConnectedOptions {
  readonly all?: true;
  readonly wait?: true;
  readonly follow?: true;
}

/** More tasks than this are summed up, and their outputs left to be asked for. */
const MOST_TASKS = 200;
const MOST_OUTPUTS = 25;

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .argument('<id>', 'the id of an instance, or INSTANCE/TASK')
    .option('-a, --all', `show every task, also of an instance with more than ${MOST_TASKS}`)
    .option('-w, --wait', 'watch the instance to its end, as "run --wait" does')
    .option('-f, --follow', 'print the logs of all tasks while watching')
    .action(async (id: string, options: ShowOptions) => show(terminal, id, options));
  examples(command, [
    ['keelson show 4711', 'the tree of its tasks'],
    ['keelson show 4711/load', 'one task: attempts, outputs, artifacts'],
    ['keelson show 4711 --wait', 'watch it to its end'],
  ]);
}

async function show(terminal: Terminal, id: string, options: ShowOptions): Promise<void> {
  const json = options.json === true;
  const client = await connect(terminal, options);
  const name = parseTaskName(id);
  if (name.kind === 'task') return showTask(terminal, await client.getTask(name.instanceId, name.task), json);
  if (options.wait === true || options.follow === true)
    return waitForEnd(client, id, terminal, { follow: options.follow === true, json });
  const detail = await client.getInstance(id);
  if (json) return printJson(terminal, detail);
  const outputs = await outputsOf(client, detail);
  const asked = await askedLines(client, detail.id, painter(terminal.stdout, terminal.env));
  const lines = instanceLines(detail, outputs, { all: options.all === true, terminal, asked });
  printLines(terminal, [...lines, ...(await parkedLines(client, detail))]);
}

/** The steps that were given up, of an instance that was failed for them. */
async function parkedLines(client: KeelsonClient, { id, reason }: InstanceDetail): Promise<string[]> {
  if (reason?.code !== 'command-parked') return [];
  const { items } = await client.getCommandErrors(id);
  return items.flatMap(({ commandId, kind, tries, error, parkedAt, payload }) => [
    '',
    `parked: ${kind} (command ${commandId}), tried ${tries} times, given up ${localTime(parkedAt)}`,
    `  error: ${plain(error)}`,
    `  payload: ${plain(JSON.stringify(payload)).slice(0, 500)}`,
  ]);
}

async function outputsOf(client: KeelsonClient, { id, tasks }: InstanceDetail): Promise<TaskInstanceDetail[]> {
  const ran = tasks.filter(({ state, attempt }) => attempt > 0 && hasEnded(state));
  if (ran.length > MOST_OUTPUTS) return [];
  return Promise.all(ran.map(({ task }) => client.getTask(id, task)));
}

export function instanceLines(
  detail: InstanceDetail,
  details: readonly TaskInstanceDetail[],
  {
    all,
    terminal,
    asked = [],
  }: { readonly all: boolean; readonly terminal: Terminal; readonly asked?: readonly string[] },
): string[] {
  const paint = painter(terminal.stdout, terminal.env);
  const rows = all || detail.tasks.length <= MOST_TASKS ? undefined : MOST_TASKS;
  const columns = terminal.stdout.isTTY === true ? (terminal.stdout.columns ?? 80) : undefined;
  const frame = frameLines(watchedOf(detail), layoutTree(detail.tasks), { now: Date.now(), paint, columns, rows });
  const [head = '', ...tree] = frame;
  const lines = [
    head,
    `  ${paint('dim', `run time ${detail.runTime} (${detail.timezone})  ${detail.trigger}  by ${plain(detail.createdBy)}  created ${localTime(detail.createdAt)}`)}`,
  ];
  if (detail.reason !== null)
    lines.push(`  reason: ${plain(detail.reason.message)} ${paint('dim', `(${detail.reason.code})`)}`);
  lines.push(
    ...valueLines('params', detail.params, paint),
    ...asked,
    `  tasks: ${countsText(detail.counts, paint)}`,
    '',
    ...tree,
  );
  for (const task of details) {
    const body = [...valueLines('outputs', task.outputs ?? {}, paint), ...artifactLines(task)];
    if (body.length > 0) lines.push('', paint('bold', task.task), ...body);
  }
  return lines;
}

function showTask(terminal: Terminal, task: TaskInstanceDetail, json: boolean): void {
  if (json) return printJson(terminal, task);
  const paint = painter(terminal.stdout, terminal.env);
  const carried = task.carriedFrom === undefined ? '' : `  carried from generation ${task.carriedFrom}`;
  const lines = [
    `${stateSymbol(task.state, paint)} ${paint('bold', task.task)}  ${stateText(task.state, paint)}  ${paint('dim', `${task.uses}  group ${task.workerGroup}  id ${task.id}${carried}`)}`,
  ];
  if (task.needs.length > 0) lines.push(`  needs: ${task.needs.join(', ')}`);
  if (task.reason !== null)
    lines.push(`  reason: ${plain(task.reason.message)} ${paint('dim', `(${task.reason.code})`)}`);
  lines.push(...valueLines('outputs', task.outputs ?? {}, paint), ...artifactLines(task));
  if (task.attempts.length > 0) {
    const rows = task.attempts.map((attempt) => {
      const from = attempt.startedAt ?? attempt.dispatchedAt;
      const took =
        from === null || attempt.endedAt === null ? '' : elapsedText(Date.parse(attempt.endedAt) - Date.parse(from));
      return [
        String(attempt.attempt),
        stateText(attempt.state, paint),
        plain(attempt.worker ?? ''),
        from === null ? '' : localTime(from),
        took,
        plain(attempt.reason?.message ?? ''),
      ];
    });
    lines.push('', ...tableLines(terminal, ['ATTEMPT', 'STATE', 'WORKER', 'STARTED', 'TOOK', 'REASON'], rows));
  }
  lines.push(...subtaskLines(terminal, task, paint));
  printLines(terminal, [...lines, '', paint('dim', `its log: keelson logs ${task.instanceId}/${task.task}`)]);
}

function subtaskLines(terminal: Terminal, { broadcast, subtasks = [] }: TaskInstanceDetail, paint: Paint): string[] {
  if (broadcast === undefined) return [];
  const rows = subtasks.map(({ worker, state, attempt, startedAt, endedAt, reason }) => [
    plain(worker),
    state === 'bound' ? paint('dim', state) : stateText(state, paint),
    String(attempt),
    startedAt === null ? '' : localTime(startedAt),
    startedAt === null || endedAt === null ? '' : elapsedText(Date.parse(endedAt) - Date.parse(startedAt)),
    plain(reason?.message ?? ''),
  ]);
  const table = tableLines(terminal, ['WORKER', 'STATE', 'ATTEMPT', 'STARTED', 'TOOK', 'REASON'], rows);
  return ['', `  ${broadcastText(broadcast)}`, ...(rows.length > 0 ? ['', ...table] : [])];
}

const LONGEST_VALUE = 200;

function valueLines(title: string, values: Readonly<Record<string, unknown>>, paint: Paint): string[] {
  const entries = Object.entries(values);
  if (entries.length === 0) return [];
  const shown = entries.map(([name, value]) => {
    const text = JSON.stringify(value);
    return `    ${plain(name)} = ${plain(text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text)}`;
  });
  return [`  ${paint('dim', `${title}:`)}`, ...shown];
}

function artifactLines({ artifacts }: TaskInstanceDetail): string[] {
  return artifacts.map(({ path, size }) => `  artifact: ${plain(path)}  ${sizeText(size)}`);
}
