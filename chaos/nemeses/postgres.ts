import { readdirSync, readFileSync } from 'node:fs';
import { processState } from '../cluster/process.ts';
import { anywhere, DATABASE } from './nemesis.ts';
import type { Nemesis } from './nemesis.ts';

/** Every connection breaks, what was not committed is gone, and the log is replayed at the start. */
export const restartPostgres: Nemesis = {
  name: 'postgres-restart',
  summary: 'PostgreSQL is stopped as by "pg_ctl stop -m immediate", and started again',
  holdSeconds: [0.5, 12],
  obstacle: anywhere,
  begin: async ({ cluster, random, victims }) => {
    const { postgres } = cluster;
    victims.take([DATABASE], random);
    const pid = postgres.pid();
    await postgres.stopImmediately();
    const gone = processState(pid) === undefined;
    return {
      target: 'PostgreSQL',
      heal: async () => {
        await postgres.start();
        victims.release(DATABASE);
        return { bit: gone && postgres.pid() !== pid, proof: `process ${pid} ended, ${postgres.pid()} took its place` };
      },
    };
  },
};

/** The database answers nobody, and every lock stays where it is. */
export const pausePostgres: Nemesis = {
  name: 'postgres-pause',
  summary: 'every process of PostgreSQL is stopped by SIGSTOP for seconds, then goes on',
  holdSeconds: [2, 14],
  obstacle: anywhere,
  begin: async ({ cluster, random, victims }) => {
    victims.take([DATABASE], random);
    const postmaster = cluster.postgres.pid();
    const stopped = [postmaster, ...childrenOf(postmaster)];
    for (const pid of stopped) send(pid, 'SIGSTOP');
    return {
      target: `PostgreSQL, ${stopped.length} processes`,
      heal: async () => {
        const still = stopped.filter((pid) => processState(pid) === 'T').length;
        for (const pid of stopped) send(pid, 'SIGCONT');
        victims.release(DATABASE);
        return { bit: still > 1, proof: `${still} processes stood still` };
      },
    };
  },
};

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent);
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
