import { spawn, spawnSync } from 'node:child_process';
import { closeSync, constants, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

/** The two ends of a fresh pipe, as file descriptors. */
export interface Pipe {
  readonly readEnd: number;
  readonly writeEnd: number;
}

const BATCH = 128;

/**
 * Makes real pipes. Node gives children sockets instead, in which `> /dev/stderr` fails, and one for each stream, which
 * loses the order between them. There is no pipe(2) in Node, so named pipes are made in batches ahead of need (about
 * 20 µs each) and each loses its name when it is opened.
 */
export function createPipeSource(dir: string): { open(): Pipe | undefined } {
  let ready: string[] = [];
  let made = 0;
  let refilling = false;
  let broken = false;

  function nextNames(): string[] {
    return Array.from({ length: BATCH }, () => join(dir, `p${made++}`));
  }

  function refill(): void {
    refilling = true;
    const names = nextNames();
    const child = spawn('mkfifo', ['-m', '600', ...names], { stdio: 'ignore' });
    child.on('error', () => (broken = true));
    child.on('exit', (code) => {
      refilling = false;
      if (code === 0) ready = [...names, ...ready];
    });
  }

  function refillNow(): void {
    const names = nextNames();
    if (spawnSync('mkfifo', ['-m', '600', ...names], { stdio: 'ignore' }).status === 0) ready.push(...names);
    else broken = true;
  }

  return {
    /** Undefined: this file system or machine makes no named pipes; use what Node offers. */
    open() {
      if (ready.length === 0 && !broken) refillNow();
      const name = ready.pop();
      if (name === undefined) return undefined;
      if (ready.length < BATCH / 2 && !refilling && !broken) refill();
      return openPipe(name);
    },
  };
}

function openPipe(name: string): Pipe | undefined {
  let readEnd: number | undefined;
  try {
    readEnd = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
    const writeEnd = openSync(name, constants.O_WRONLY);
    return { readEnd, writeEnd };
  } catch {
    if (readEnd !== undefined) closeSync(readEnd);
    return undefined;
  } finally {
    try {
      unlinkSync(name);
    } catch {
      // The directory is swept at the worker's next start.
    }
  }
}
