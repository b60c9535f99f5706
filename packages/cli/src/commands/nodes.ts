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
    .description(
      'Lists server processes with their load, and workers with their leases, the load of their machines per core, the protocol that they speak (p1) and what they run.',
    )
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
      ['SERVER', 'ROLES', 'PROCESS', 'STATE', 'SEEN', 'UP FOR', 'LOAD', 'VERSION', 'SCHEMA'],
      servers.map((server) => serverRow(server, paint, now)),
    ),
  );
  if (workers.length === 0)
    return remark(terminal, '\nNo worker is connected; "keelson worker --server URL" starts one');
  printLines(terminal, [
    '',
    ...tableLines(
      terminal,
      ['WORKER', 'INC', 'GROUP', 'STATE', 'LEASE', 'SLOTS', 'LOAD', 'VERSION', 'SERVER', 'CAN RUN', 'RUNS'],
      workers.map((worker) => workerRow(worker, paint, now)),
    ),
  ]);
}

function serverRow(server: Of<'server'>, paint: Paint, now: number): string[] {
  const { url, roles, host, pid, startedAt, seenAt, version, schemaVersion, load } = server;
  return [
    plain(url ?? host),
    roles.join(','),
    `${plain(host)}:${pid}`,
    serverState(server, paint),
    `${elapsedText(Math.max(0, now - Date.parse(seenAt)))} ago`,
    elapsedText(now - Date.parse(startedAt)),
    load === null ? '' : loadText(load),
    version,
    schemaVersion === null ? '' : String(schemaVersion),
  ];
}

function serverState({ alive, draining }: Of<'server'>, paint: Paint): string {
  if (!alive) return paint('red', 'silent');
  return draining ? paint('yellow', 'draining') : paint('green', 'alive');
}

/** `12 steps/s 4% 3 workers`: the share is that of the event loop. */
function loadText({ stepsPerSecond, eventLoop, workers }: NonNullable<Of<'server'>['load']>): string {
  return [
    ...(stepsPerSecond === undefined ? [] : [`${stepsPerSecond} steps/s`]),
    `${Math.round(eventLoop * 100)}%`,
    ...(workers === undefined ? [] : [`${workers} ${workers === 1 ? 'worker' : 'workers'}`]),
  ].join(' ');
}

const MOST_NAMED = 3;

function workerRow(worker: Of<'worker'>, paint: Paint, now: number): string[] {
  const { id, name, group, inUse, slots, load, version, protocol, gateway, capabilities, running } = worker;
  const tasks = running
    .slice(0, MOST_NAMED)
    .map(({ instanceId, task }) => `${instanceId}/${task}`)
    .join(' ');
  const more = running.length > MOST_NAMED ? ` +${running.length - MOST_NAMED}` : '';
  return [
    plain(name),
    id,
    plain(group),
    workerState(worker, paint),
    elapsedText(Math.max(0, Date.parse(worker.leaseUntil) - now)),
    `${inUse}/${slots}`,
    load === null ? '' : load.toFixed(2),
    `${plain(version)} p${protocol}`,
    gateway === null ? '' : plain(gateway),
    capabilities.map(plain).join(','),
    tasks + more,
  ];
}

function workerState({ leaseOver, revoked, state }: Of<'worker'>, paint: Paint): string {
  if (leaseOver) return paint('red', 'lease over');
  if (revoked) return paint('red', 'revoked');
  return paint(state === 'live' ? 'green' : 'yellow', state);
}
