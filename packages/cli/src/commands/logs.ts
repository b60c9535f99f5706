import { once } from 'node:events';
import type { KeelsonClient } from '@keelson/sdk/client';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples, integer } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { EXIT } from '../exit-codes.ts';
import { parseTaskName } from '../names.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, remark } from '../terminal/terminal.ts';
import { sizeText } from '../terminal/text.ts';

interface LogsOptions extends ConnectedOptions {
  readonly follow?: true;
  readonly attempt?: number;
  readonly tail?: number;
  readonly worker?: string;
}

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .argument('<task>', "INSTANCE/TASK, or a task instance's id")
    .option('-f, --follow', 'go on until the task has ended; later attempts included')
    .option('--attempt <n>', 'of this attempt (default: the current or last one)', integer(1, 1_000_000))
    .option('-n, --tail <n>', 'only the last lines', integer(0, 10_000))
    .option('--worker <name>', 'of a broadcast: the subtask of this worker (default: the steps around them)')
    .action(async (task: string, options: LogsOptions) => logs(terminal, task, options));
  examples(command, [
    ['keelson logs 4711/load', 'the whole log of its last attempt'],
    ['keelson logs 4711/load -f --tail 20', 'the last lines, and what comes'],
    ['keelson logs 4711/load --attempt 1', 'of the first attempt'],
    ['keelson logs 4711/clean --worker node-7', "of a broadcast's subtask on one worker"],
  ]);
}

async function logs(terminal: Terminal, task: string, options: LogsOptions): Promise<void> {
  const client = await connect(terminal, options);
  const name = parseTaskName(task);
  const id = name.kind === 'id' ? name.id : (await client.getTask(name.instanceId, name.task)).id;
  if (options.follow === true) return followLog(client, terminal, id, options);
  if (options.json === true) return printWholeAsJson(client, terminal, id, options);
  await printWhole(client, terminal, id, options);
}

async function followLog(
  client: KeelsonClient,
  terminal: Terminal,
  id: string,
  { attempt, tail, worker, json }: LogsOptions,
): Promise<void> {
  const stopListening = terminal.onSignal(['SIGINT', 'SIGTERM'], () => terminal.exit(EXIT.interrupted));
  let current: number | undefined;
  try {
    for await (const event of client.followLog(id, {
      attempt,
      tail,
      worker,
      onInterrupted: () => remark(terminal, 'The connection broke; trying again …'),
    })) {
      if (json === true) await write(terminal, `${JSON.stringify(event)}\n`);
      else if (event.event === 'log') {
        if (current !== undefined && event.data.attempt !== current)
          remark(terminal, `── attempt ${event.data.attempt} ──`);
        current = event.data.attempt;
        await write(terminal, event.data.text);
      } else remark(terminal, `── attempt ${event.data.attempt}: the task ${event.data.state} ──`);
    }
  } finally {
    stopListening();
  }
}

async function printWhole(client: KeelsonClient, terminal: Terminal, id: string, options: LogsOptions): Promise<void> {
  let first = true;
  for await (const part of logParts(client, id, options)) {
    if (first && options.attempt === undefined && part.attempt > 1)
      remark(terminal, `attempt ${part.attempt}; --attempt N shows an earlier one`);
    if (part.lost > 0) remark(terminal, `(${sizeText(part.lost)} of the log were lost here)`);
    first = false;
    await write(terminal, part.bytes);
  }
}

async function printWholeAsJson(
  client: KeelsonClient,
  terminal: Terminal,
  id: string,
  options: LogsOptions,
): Promise<void> {
  const decoder = new TextDecoder();
  let text = '';
  let last: { attempt: number; next: number; complete: boolean } = { attempt: 0, next: 0, complete: false };
  let from: number | undefined;
  for await (const part of logParts(client, id, options)) {
    from ??= part.from;
    text += decoder.decode(part.bytes, { stream: true });
    last = part;
  }
  printJson(terminal, {
    taskInstance: id,
    attempt: last.attempt,
    from: from ?? 0,
    next: last.next,
    complete: last.complete,
    text: text + decoder.decode(),
  });
}

/** Reads a log part by part, as far as it goes now. `lost` octets are missing before a part. */
async function* logParts(client: KeelsonClient, id: string, { attempt, tail, worker }: LogsOptions) {
  let part = await client.readLog(id, tail === undefined ? { attempt, worker, from: 0 } : { attempt, worker, tail });
  yield { ...part, lost: tail === undefined ? part.from : 0 };
  while (!part.complete && part.bytes.length > 0) {
    const expected = part.next;
    part = await client.readLog(id, { attempt: part.attempt, worker, from: expected });
    yield { ...part, lost: Math.max(0, part.from - expected) };
  }
}

/** Waits for a slow reader, so that a large log does not pile up in memory. */
async function write(terminal: Terminal, chunk: string | Uint8Array): Promise<void> {
  if (chunk.length > 0 && !terminal.stdout.write(chunk)) await once(terminal.stdout, 'drain');
}
