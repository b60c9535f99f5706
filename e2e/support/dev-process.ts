import type { ChildProcess } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@keelson/sdk/client';
import type { KeelsonClient } from '@keelson/sdk/client';
import type { Ended, LaunchOptions, Running } from './processes.ts';
import { KEELSON, isAlive, launch, runToEnd } from './processes.ts';
import { waitFor } from './wait-for.ts';

/** A test, or a test file: `{ after }` of node:test. */
export interface Owner {
  after(action: () => Promise<void>): void;
}

export interface DevProcess {
  readonly url: string;
  readonly token: string;
  readonly pid: number;
  readonly dataDir: string;
  readonly client: KeelsonClient;
  /** Runs `keelson …` against it. */
  keelson(args: readonly string[], options?: LaunchOptions): Promise<Ended>;
  /** A request to `path` below /api/v1, with the admin's token unless `headers` say otherwise. */
  fetch(path: string, init?: RestRequest): Promise<Response>;
  /** Sends a signal, and waits for the end. */
  end(signal: NodeJS.Signals): Promise<Ended>;
}

export interface RestRequest {
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface DevProcessOptions {
  readonly dataDir?: string;
  readonly args?: readonly string[];
}

const READY_WITHIN_MS = 60_000;

/** A folder that the account of the embedded PostgreSQL can reach, removed at the end. */
export async function temporaryFolder(owner: Owner): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-e2e-'));
  await chmod(folder, 0o755);
  owner.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** `keelson dev --port 0 --json` as a process; waits for its ready line, ends it and removes its data with its owner. */
export async function startDevProcess(owner: Owner, options: DevProcessOptions = {}): Promise<DevProcess> {
  const dataDir = options.dataDir ?? join(await temporaryFolder(owner), 'data');
  const running = launch(KEELSON, ['dev', '--port', '0', '--data', dataDir, '--json', ...(options.args ?? [])]);
  owner.after(() => endForGood(running));
  const { url, token } = await readyLine(running);
  return {
    url,
    token,
    dataDir,
    pid: running.child.pid ?? 0,
    client: createClient({ url, token }),
    keelson: (args, launchOptions) => runToEnd(KEELSON, [...args, '--data', dataDir], launchOptions),
    fetch: (path, { headers, ...init } = {}) => {
      const always = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      return fetch(`${url}/api/v1/${path}`, { ...init, headers: { ...always, ...headers } });
    },
    end: async (signal) => {
      running.child.kill(signal);
      return running.ended;
    },
  };
}

async function readyLine({ child, said }: Running): Promise<{ url: string; token: string }> {
  const line = await waitFor(
    'the ready line of keelson dev',
    () => {
      if (hasEnded(child)) throw new Error(`keelson dev ended before it was ready:\n${said().stderr}`);
      return /^\{.*\}$/m.exec(said().stdout)?.[0];
    },
    READY_WITHIN_MS,
  );
  return JSON.parse(line) as { url: string; token: string };
}

async function endForGood({ child, ended }: Running): Promise<void> {
  if (hasEnded(child)) return;
  child.kill('SIGTERM');
  const impatient = setTimeout(() => child.kill('SIGKILL'), 25_000);
  await ended;
  clearTimeout(impatient);
}

/** Waits until a process is gone, whoever its parent is. */
export async function waitForDeath(pid: number, deadlineMs?: number): Promise<void> {
  await waitFor(`the end of process ${pid}`, () => (isAlive(pid) ? undefined : true), deadlineMs);
}

/** Until a running process has said something that matches. */
export async function waitForWords({ said, child }: Running, pattern: RegExp): Promise<void> {
  await waitFor(`${pattern} in the output of ${child.spawnfile}`, () => {
    const { stdout, stderr } = said();
    return pattern.test(stdout + stderr) ? true : undefined;
  });
}

/** Ends a process that the test itself started. */
export async function endProcess({ child, ended }: Running, signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
  if (!hasEnded(child)) child.kill(signal);
  return ended;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
