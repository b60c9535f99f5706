import type { WaitCode } from '@keelson/core';
import type { Why } from '@keelson/protocol';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { hasEnded, stateSymbol, stateText } from '../terminal/states.ts';
import type { Paint, Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines } from '../terminal/terminal.ts';
import { elapsedText, plain } from '../terminal/text.ts';

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .argument('<id>', 'the id of an instance')
    .description(
      'Says for the instance and for each task that is unfinished or did not succeed: why, in words and as a stable code.',
    )
    .option('-t, --task <task>', 'only this task')
    .action(async (id: string, options: ConnectedOptions & { task?: string }) => why(terminal, id, options));
  examples(command, [
    ['keelson why 4711', 'why does it not go on?'],
    ['keelson why 4711 --task load', 'why does this task wait?'],
  ]);
}

async function why(terminal: Terminal, id: string, options: ConnectedOptions & { task?: string }): Promise<void> {
  const client = await connect(terminal, options);
  const whole = await client.getWhy(id);
  const answer =
    options.task === undefined ? whole : { ...whole, tasks: whole.tasks.filter(({ task }) => task === options.task) };
  if (options.json === true) return printJson(terminal, answer);
  printLines(terminal, whyLines(answer, painter(terminal.stdout, terminal.env), Date.now()));
  if (answer.tasks.length === 0 && options.task !== undefined) {
    // A misspelt name is refused; a task that has succeeded is said to have.
    const { state } = await client.getTask(id, options.task);
    printLines(terminal, `Task ${options.task} is ${state}: nothing to explain`);
  } else if (answer.tasks.length === 0) printLines(terminal, 'No task is unfinished or unsuccessful');
}

type WhyReason = Why['instance']['reasons'][number];

/** What a person can do about a reason; most messages say it themselves. */
function helpFor({ code, details }: WhyReason): string | undefined {
  const group = typeof details?.['group'] === 'string' ? details['group'] : 'GROUP';
  switch (code as WaitCode) {
    case 'no-worker-in-group':
      return `start one: keelson worker --server URL --group ${group}`;
    case 'no-worker-with-capability':
      return 'keelson nodes shows what each worker can run; a processor must be registered by a worker of your own';
    case 'group-full':
      return 'more slots or workers let it start sooner; keelson nodes shows what runs';
    case 'worker-lost':
      return 'it goes on elsewhere once the lease of the lost worker has run out; keelson nodes shows the workers';
    case 'command-waiting':
      return 'if that lasts, no master is alive: keelson nodes shows the servers';
    default:
      return undefined;
  }
}

export function whyLines({ instance, tasks }: Why, paint: Paint, now: number): string[] {
  const lines = [
    `${stateSymbol(instance.state, paint)} instance ${paint('bold', instance.id)}  ${stateText(instance.state, paint)}`,
  ];
  lines.push(
    ...instance.reasons.flatMap((reason) => reasonLines(reason, { ended: hasEnded(instance.state), paint, now })),
  );
  for (const { task, state, reasons } of tasks) {
    lines.push(
      '',
      `${stateSymbol(state, paint)} ${paint('bold', task)}  ${stateText(state, paint)}`,
      ...reasons.flatMap((reason) => reasonLines(reason, { ended: hasEnded(state), paint, now })),
    );
  }
  return lines;
}

function reasonLines(
  reason: WhyReason,
  { ended, paint, now }: { readonly ended: boolean; readonly paint: Paint; readonly now: number },
): string[] {
  const help = helpFor(reason);
  const passed = reason.since === null ? undefined : elapsedText(now - Date.parse(reason.since));
  const age = passed === undefined ? '' : ended ? `, ${passed} ago` : `, for ${passed}`;
  return [
    `  ${plain(reason.message)} ${paint('dim', `(${reason.code}${age})`)}`,
    ...(help === undefined ? [] : [`  ${paint('cyan', 'help:')} ${help}`]),
  ];
}
