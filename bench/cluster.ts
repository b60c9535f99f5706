import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createToken } from '@keelson/server';
import { startChild } from './child.ts';
import type { Answer, Child } from './child.ts';
import { openDatabase } from './database.ts';
import type { Database } from './database.ts';
import { openRest } from './rest.ts';
import type { Rest } from './rest.ts';

export interface ClusterOptions {
  readonly workers: number;
  readonly slots: number;
  /** Server processes, each with the roles api and master; default: one. */
  readonly servers?: number;
  /** Writes CPU profiles of the server and the workers into this folder. */
  readonly profileInto?: string | undefined;
  readonly log: (line: string) => void;
}

/** A PostgreSQL, a server process and worker processes; this process is the load. */
export interface Cluster {
  readonly database: Database;
  /** Speaks to the first server. */
  readonly rest: Rest;
  readonly servers: readonly BenchServer[];
  readonly workers: readonly BenchWorker[];
  /** What server and workers complained about so far. */
  complaints(): Promise<string[]>;
  /** Ends the processes but not the database, so that their last statistics are written. */
  stopProcesses(): Promise<void>;
  close(): Promise<void>;
}

export interface BenchServer {
  pid(): number;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** In another process, on another port. */
  startAgain(): Promise<void>;
}

export interface BenchWorker {
  join(): Promise<void>;
  leave(): Promise<void>;
  /** Milliseconds of one `fibo(n)` in that process. */
  bareFibo(n: number): Promise<number>;
  onAnswer(listener: (answer: Answer) => void): void;
}

/** Ready when the server answers; the workers are there but have not joined. */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  const { log, profileInto } = options;
  const execArgv = profileInto === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileInto}`];
  const database = await openDatabase(log);
  const children: Child[] = [];
  const complaints: string[] = [];
  const logFile = join(database.folder, 'server.log');
  const ends: (() => Promise<unknown>)[] = [];
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    for (const end of ends) await end();
    // Workers first: they still have something to say to the server.
    for (const child of children.toReversed()) await child.stop();
  };
  const stopProcesses = (): Promise<void> => (stopping ??= stop());
  try {
    const secretKey = randomBytes(32).toString('base64');
    const setup = { type: 'start', databaseUrl: database.url, secretKey, logFile };
    const newServer = async (): Promise<{ child: Child; url: unknown }> => {
      const child = startChild('./server-main.ts', { execArgv });
      children.push(child);
      return { child, url: (await child.ask(setup, 'ready'))['url'] };
    };
    const { child: first, url } = await newServer();
    const servers = [benchServer(first, newServer)];
    while (servers.length < (options.servers ?? 1)) servers.push(benchServer((await newServer()).child, newServer));
    const token = (role: 'admin' | 'worker'): Promise<string> =>
      createToken({ databaseUrl: database.url, role, name: `bench-${role}` });
    const rest = openRest(String(url), await token('admin'));
    ends.push(() => rest.close());
    const workerToken = await token('worker');
    const workers = Array.from({ length: options.workers }, (_, index) => {
      const child = startChild('./worker-main.ts', { execArgv });
      children.push(child);
      child.onAnswer(
        (answer) => void (answer.type === 'complaint' && complaints.push(`worker: ${String(answer['message'])}`)),
      );
      const name = `bench-${index + 1}`;
      const joining = {
        server: url,
        token: workerToken,
        name,
        slots: options.slots,
        dataDir: join(database.folder, name),
      };
      return benchWorker(child, joining);
    });
    return {
      database,
      rest,
      servers,
      workers,
      complaints: async () => [...(await warnings(logFile)), ...complaints],
      stopProcesses,
      close: async () => {
        await stopProcesses();
        await database.close();
      },
    };
  } catch (error) {
    await stopProcesses();
    await database.close();
    throw error;
  }
}

function benchServer(child: Child, newServer: () => Promise<{ child: Child }>): BenchServer {
  let current = child;
  return {
    pid: () => current.pid ?? 0,
    kill: () => current.kill(),
    startAgain: async () => void (current = (await newServer()).child),
  };
}

function benchWorker(child: Child, setup: object): BenchWorker {
  return {
    join: async () => void (await child.ask({ type: 'join', ...setup }, 'joined')),
    leave: async () => void (await child.ask({ type: 'leave' }, 'left')),
    bareFibo: async (n) => Number((await child.ask({ type: 'bare-fibo', n }, 'bare-fibo'))['ms']),
    onAnswer: child.onAnswer,
  };
}

const WARN = 40;

async function warnings(logFile: string): Promise<string[]> {
  const text = await readFile(logFile, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line.startsWith('{"level":') && Number.parseInt(line.slice(9), 10) >= WARN)
    .map((line) => `server: ${line}`);
}
