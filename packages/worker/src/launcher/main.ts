/**
 * The launcher: a small process between the worker and its tasks. It starts them (a fork of a big process is slow, of
 * this one not), captures what they print within bounds, and outlives the worker by the moment it takes to kill them:
 * at the worker's end of file, or when the lease ends without renewal because the worker is stopped or stuck.
 */
import { rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { flushCompileCache } from 'node:module';
import type { ProcessEnd } from '@keelson/tasks';
import { discardCgroup, endCgroup, joinCgroup, killOthers, processesIn } from './cgroup.ts';
import { createEscapeeHunt } from './escapee-hunt.ts';
import { createFrameReader, encodeFrame, type Frame } from './frames.ts';
import { startGuard } from './guard.ts';
import {
  ATTEMPT_KEY,
  DEADLINE,
  ENDED,
  KILL,
  OUTPUT,
  PRIME,
  REAP,
  START,
  STARTED,
  machineNow,
  type DeadlineMessage,
  type EndedMessage,
  type KillMessage,
  type LauncherConfig,
  type StartMessage,
} from './messages.ts';
import { createPipeSource } from './pipes.ts';
import { killByKey, leftovers, signalProcess } from './process-tree.ts';
import { startTaskProcess, type TaskProcess } from './task-process.ts';

/** Output waits this long for more, so that a short task costs one message. */
const TICK_MS = 50;
const OUTPUT_AT_ONCE_BYTES = 64 * 1024;
/** Above this much unsent output the tasks wait for the worker to read; only a stuck worker gets there. */
const CONGESTED_BYTES = 16 * 1024 * 1024;
const SWEEP_EVERY_MS = 1000;

interface Running {
  readonly process: TaskProcess;
  announced: boolean;
}

if (process.argv[2] === PRIME) {
  flushCompileCache();
  process.exit(0);
}
if (process.argv[2] === REAP) {
  const { keyPrefix, cgroup } = JSON.parse(process.argv[3] ?? '{}') as LauncherConfig;
  if (cgroup !== undefined) await endCgroup(cgroup);
  killByKey((key) => key.startsWith(keyPrefix));
  process.exit(0);
}

const config = JSON.parse(process.argv[2] ?? '{}') as LauncherConfig;
const guard = startGuard(config);
if (config.cgroup !== undefined) joinCgroup(config.cgroup, process.pid);
const pipes = createPipeSource(config.pipeDir);
const hunt = createEscapeeHunt();
const running = new Map<number, Running>();
const keys = new Set<string>();
const output = new Socket({ fd: 1, readable: false, writable: true });
let tick: NodeJS.Timeout | undefined;
let sweep: NodeJS.Timeout | undefined;
let deadline: number | null = null;
let deadlineTimer: NodeJS.Timeout | undefined;
let congested = false;

function send(frame: Buffer): void {
  output.write(frame);
  if (congested || output.writableLength < CONGESTED_BYTES) return;
  congested = true;
  for (const { process } of running.values()) process.output.pause();
  output.once('drain', () => {
    congested = false;
    for (const { process } of running.values()) process.output.resume();
  });
}

function start(id: number, message: StartMessage): void {
  const key = message.env[ATTEMPT_KEY] ?? '';
  keys.add(key);
  const onOutput = (): void => {
    if ((running.get(id)?.process.output.pendingBytes ?? 0) >= OUTPUT_AT_ONCE_BYTES) sendOutput(id);
  };
  const process = startTaskProcess(message, pipes.open(), hunt, onOutput, (end) => ended(id, key, end));
  if (process === undefined) return;
  running.set(id, { process, announced: false });
  if (congested) process.output.pause();
  tick ??= setInterval(onTick, TICK_MS);
}

function sendOutput(id: number): void {
  const head = running.get(id)?.process.output.takeHead() ?? [];
  if (head.length > 0) send(encodeFrame(OUTPUT, id, ...head));
}

/** What has run for a tick is worth telling: its process id (to be killed if this process dies) and its output so far. */
function onTick(): void {
  for (const [id, task] of running) {
    if (!task.announced) {
      task.announced = true;
      const pid = Buffer.allocUnsafe(4);
      pid.writeUInt32LE(task.process.pid);
      send(encodeFrame(STARTED, id, pid));
    }
    if (task.process.output.pendingBytes > 0) sendOutput(id);
  }
  if (running.size > 0) return;
  clearInterval(tick);
  tick = undefined;
}

function ended(id: number, key: string, end: ProcessEnd): void {
  const rest = running.get(id)?.process.output.finish() ?? { head: [], leftOut: 0, tail: new Uint8Array(0) };
  running.delete(id);
  keys.delete(key);
  const headBytes = rest.head.reduce((sum, part) => sum + part.length, 0);
  const message: EndedMessage = { end, headBytes, leftOut: rest.leftOut };
  const json = Buffer.from(JSON.stringify(message));
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32LE(json.length);
  send(encodeFrame(ENDED, id, length, json, ...rest.head, rest.tail));
  sweep ??= setTimeout(sweepEscapees, SWEEP_EVERY_MS);
}

/**
 * A daemon that left its group and closed its output is found by the key of an attempt that has ended; one that cleared its environment
 * too, by the control group, once every task that ran when it started has ended.
 */
function sweepEscapees(): void {
  sweep = undefined;
  killByKey((key) => key.startsWith(config.keyPrefix) && !keys.has(key));
  if (config.cgroup === undefined) return;
  const leaders = [...running.values()].map(({ process }) => process.pid);
  for (const pid of leftovers(processesIn(config.cgroup), leaders)) signalProcess(pid, 'SIGKILL');
}

function killAll(): number {
  const count = running.size;
  for (const { process } of running.values()) process.killNow();
  killByKey((key) => key.startsWith(config.keyPrefix));
  if (config.cgroup !== undefined) killOthers(config.cgroup);
  return count;
}

function watchDeadline(): void {
  clearTimeout(deadlineTimer);
  if (deadline === null) return;
  const left = deadline - machineNow();
  if (left > 0) {
    deadlineTimer = setTimeout(watchDeadline, Math.min(left, 60_000));
    return;
  }
  const count = killAll();
  if (!config.killWorker) {
    deadline = null;
    return;
  }
  rmSync(config.pipeDir, { recursive: true, force: true });
  console.error(
    `keelson launcher: the worker (process ${config.workerPid}) let its lease end without renewal; killed it and ${count} task processes`,
  );
  if (process.ppid === config.workerPid) signalProcess(config.workerPid, 'SIGKILL');
  end(1);
}

function onFrame(frame: Frame): void {
  const message: unknown = JSON.parse(frame.payload.toString('utf8'));
  if (frame.kind === START) start(frame.id, message as StartMessage);
  else if (frame.kind === KILL) running.get(frame.id)?.process.kill((message as KillMessage).graceMs);
  else if (frame.kind === DEADLINE) {
    deadline = (message as DeadlineMessage).at;
    watchDeadline();
  }
}

function workerGone(): void {
  killAll();
  rmSync(config.pipeDir, { recursive: true, force: true });
  end(0);
}

function end(code: number): void {
  // A guard that is not dismissed waits for what is still dying, and clears up.
  if (config.cgroup === undefined || discardCgroup(config.cgroup)) guard.dismiss();
  process.exit(code);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
const input = new Socket({ fd: 0, readable: true, writable: false });
input.on('data', createFrameReader(onFrame));
input.on('end', workerGone);
input.on('close', workerGone);
input.on('error', workerGone);
output.on('error', workerGone);
