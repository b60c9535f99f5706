import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The command as a person starts it from a clone. */
export const KEELSON = fileURLToPath(new URL('../../node_modules/.bin/keelson', import.meta.url));

/** How a process ended, and what it said. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** What it has said so far. */
  said(): { readonly stdout: string; readonly stderr: string };
}

export interface LaunchOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** Starts a program and keeps what it says. */
export function launch(
  command: string,
  args: readonly string[],
  { cwd = ROOT, env = {}, input }: LaunchOptions = {},
): Running {
  const child = spawn(command, args, { cwd, env: cleanEnvironment(env), stdio: 'pipe' });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  child.stdin.on('error', () => undefined).end(input ?? '');
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    // Not `close`: a child of it that lives on may hold the pipes open.
    child.once('exit', (code, signal) => setImmediate(() => resolve({ code, signal, ...said })));
  });
  return { child, ended, said: () => ({ ...said }) };
}

/** Runs one to its end, its pipes included. */
export async function runToEnd(command: string, args: readonly string[], options?: LaunchOptions): Promise<Ended> {
  const running = launch(command, args, options);
  const closed = new Promise((resolve) => running.child.once('close', resolve));
  const { code, signal } = await running.ended;
  await closed;
  return { code, signal, ...running.said() };
}

/** What the tests' own surroundings say must not lead a command to another server. */
function cleanEnvironment(env: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(?:KEELSON_|NODE_TEST|NODE_OPTIONS|FORCE_COLOR)/.test(name),
  );
  return { ...Object.fromEntries(own), NO_COLOR: '1', ...env };
}

/** Whether a process of this id is there; a zombie is not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return !/^State:\s+Z/m.test(procText(pid, 'status'));
}

/** Ids and command lines of the processes that name `text` in their command line or were started in its folder. */
export function processesOf(text: string): string[] {
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids
    .filter((pid) => pid !== process.pid && isAlive(pid))
    .map((pid) => ({ pid, line: procText(pid, 'cmdline').replaceAll('\0', ' '), env: procText(pid, 'environ') }))
    .filter(({ line, env }) => line.includes(text) || env.includes(text))
    .map(({ pid, line }) => `${pid} ${line}`);
}

function procText(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
