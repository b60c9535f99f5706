/**
 * A control group (v2) for a launcher and all that it starts, where this process may make one: nothing leaves its group, whatever it does
 * to its session, its parents or its environment. One group for all tasks, for to move a process costs some 10 ms: each inherits the
 * launcher's at its birth. Elsewhere a task's processes are found by their process group and by their attempt key alone.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { signalProcess } from './process-tree.ts';

const NAME = /^keelson-[0-9A-Za-z-]+$/;
const KILL_FILE = 'cgroup.kill';
const MEMBERS_FILE = 'cgroup.procs';
const EMPTY_WITHIN_MS = 2000;
const LOOK_MS = 5;
const KILL_ROUNDS = 10;
const DISCARD_TRIES = 20;

/** A group below the one of this process; undefined where it may not make one. */
export function makeCgroup(name: string): string | undefined {
  const own = ownCgroup();
  if (own === undefined) return undefined;
  const dir = join(own, `keelson-${name}`);
  try {
    mkdirSync(dir);
  } catch {
    return undefined;
  }
  // Linux 5.14 has it; without it little is gained.
  if (existsSync(join(dir, KILL_FILE))) return dir;
  remove(dir);
  return undefined;
}

/** Moves a process in; what it forks from now on is in it too. Where that is not allowed the group stays empty and does nothing. */
export function joinCgroup(dir: string, pid: number): void {
  write(join(dir, MEMBERS_FILE), String(pid));
}

/** Moves a process out, to where the worker is. */
export function leaveCgroup(dir: string, pid: number): void {
  joinCgroup(dirname(dir), pid);
}

export function processesIn(dir: string): number[] {
  return read(join(dir, MEMBERS_FILE)).trim().split('\n').filter(Boolean).map(Number);
}

/** SIGKILL to everything in the group but this process, and to what it forked meanwhile. */
export function killOthers(dir: string): void {
  const killed = new Set([process.pid]);
  for (let round = 0; round < KILL_ROUNDS; round += 1) {
    const fresh = processesIn(dir).filter((pid) => !killed.has(pid));
    if (fresh.length === 0) return;
    for (const pid of fresh) {
      killed.add(pid);
      signalProcess(pid, 'SIGKILL');
    }
  }
}

/** Kills everything in the group of a launcher that has ended, and removes it. Answers how many processes that were. */
export async function endCgroup(dir: string): Promise<number> {
  if (!NAME.test(basename(dir)) || !existsSync(join(dir, KILL_FILE))) return 0;
  const count = processesIn(dir).length;
  write(join(dir, KILL_FILE), '1');
  const giveUpAt = performance.now() + EMPTY_WITHIN_MS;
  while (!remove(dir) && performance.now() < giveUpAt) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  return count;
}

/**
 * For the launcher, as its last act: leaves the group, in which everything else was killed, and removes it. False: something in it is
 * still dying.
 */
export function discardCgroup(dir: string): boolean {
  leaveCgroup(dir, process.pid);
  const wait = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; tries < DISCARD_TRIES; tries += 1) {
    if (remove(dir)) return true;
    Atomics.wait(wait, 0, 0, LOOK_MS);
  }
  return false;
}

function remove(dir: string): boolean {
  try {
    rmdirSync(dir);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT';
  }
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch {
    // The process, or the group, has gone by itself; or this process may not.
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

/** Where this process's own group lies in the file system: the group's path below the mount, as this process sees both. */
function ownCgroup(): string | undefined {
  const path = /^0::(\/.*)$/m.exec(read('/proc/self/cgroup'))?.[1];
  if (path === undefined) return undefined;
  for (const line of read('/proc/self/mountinfo').split('\n')) {
    const [mount = '', type = ''] = line.split(' - ');
    const [, , , root = '', place = ''] = mount.split(' ');
    if (!type.startsWith('cgroup2 ')) continue;
    if (root === '/') return join(place, path);
    if (path === root || path.startsWith(`${root}/`)) return join(place, path.slice(root.length));
  }
  return undefined;
}
