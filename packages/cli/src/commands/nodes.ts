import type { Node } from '@keelson/protocol';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { tableLines } from '../terminal/table.ts';
import type { Paint, Terminal } from '../terminal/terminal.ts';
import { painter, printJson, printLines, remark } from '../terminal/terminal.ts';
import { elapsedText, plain } from '../terminal/text.ts';

type Of<Kind extends Node['kind']> = Extract<Node, { kind: Kind }>;

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .description('Lists server processes, and workers with what they run.')
    .action(async (options: ConnectedOptions) => nodes(terminal, options));
}

async function nodes(terminal: Terminal, options: ConnectedOptions): Promise<void> {
  const client = await connect(terminal, options);
  const { items } = await client.listNodes();
  if (options.json === true) return printJson(terminal, items);
  const paint = painter(terminal.stdout, terminal.env);
  const now = Date.now();
  const servers = items.filter((item): item is Of<'server'> => item.kind === 'server');
  const workers = items.filter((item): item is Of<'worker'> => item.kind === 'worker');
  printLines(
    terminal,
    tableLines(
      terminal,
      ['SERVER', 'ROLES', 'PROCESS', 'STATE', 'UP FOR', 'VERSION'],
      servers.map((server) => serverRow(server, paint, now)),
    ),
  );
  if (workers.length === 0)
    return remark(terminal, '\nNo worker is connected; "keelson worker --server URL" starts one');
  printLines(terminal, [
    '',
    ...tableLines(
      terminal,
      ['WORKER', 'GROUP', 'STATE', 'SLOTS', 'CAN RUN', 'RUNS'],
      workers.map((worker) => workerRow(worker, paint)),
    ),
  ]);
}

function serverRow(
  { url, roles, host, pid, alive, startedAt, version }: Of<'server'>,
  paint: Paint,
  now: number,
): string[] {
  return [
    plain(url ?? host),
    roles.join(','),
    `${plain(host)}:${pid}`,
    alive ? paint('green', 'alive') : paint('red', 'silent'),
    elapsedText(now - Date.parse(startedAt)),
    version,
  ];
}

const MOST_NAMED = 3;

function workerRow(
  { name, group, state, leaseOver, inUse, slots, capabilities, running }: Of<'worker'>,
  paint: Paint,
): string[] {
  const shown = leaseOver ? paint('red', 'lease over') : paint(state === 'live' ? 'green' : 'yellow', state);
  const tasks = running
    .slice(0, MOST_NAMED)
    .map(({ instanceId, task }) => `${instanceId}/${task}`)
    .join(' ');
  const more = running.length > MOST_NAMED ? ` +${running.length - MOST_NAMED}` : '';
  return [plain(name), plain(group), shown, `${inUse}/${slots}`, capabilities.map(plain).join(','), tasks + more];
}
