import { closeSync, openSync, statSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';

/** Another process uses the data directory. */
export class DataDirInUse extends Error {
  constructor(dir: string) {
    super(`the data directory ${dir} is used by another worker that runs; give each worker its own`);
    this.name = 'DataDirInUse';
  }
}

const LOCK = 'worker.lock';
/** The kernel's limit for the path of a socket. */
const MAX_SOCKET_PATH = 100;
const SETTLE_MS = 30;

/**
 * Takes the directory for this process; the returned function gives it back. The lock is a listening socket: the kernel
 * drops it with the process, however that ends, and one that is merely stopped keeps it. Throws DataDirInUse.
 */
export async function lockDataDir(dir: string): Promise<() => void> {
  const path = join(dir, LOCK);
  // The directory by its open descriptor is a short path to the same place.
  const fd = Buffer.byteLength(path) > MAX_SOCKET_PATH && process.platform === 'linux' ? openSync(dir, 'r') : undefined;
  const address = fd === undefined ? path : `/proc/self/fd/${fd}/${LOCK}`;
  try {
    for (let tries = 0; tries < 5; tries += 1) {
      const server = await tryListen(address);
      if (server !== undefined) {
        if (await isStillOurs(path)) return () => release(server, fd);
        // Not closed: that would remove the winner's socket.
        throw new DataDirInUse(dir);
      }
      if (await answers(address)) throw new DataDirInUse(dir);
      removeStale(path);
    }
    throw new DataDirInUse(dir);
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw error;
  }
}

function release(server: Server, fd: number | undefined): void {
  server.close(() => fd !== undefined && closeSync(fd));
}

function tryListen(address: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(address, () => {
      server.unref();
      resolve(server);
    });
  });
}

/** Two that start at once may both have found the lock stale; the one whose socket was removed gives way. */
async function isStillOurs(path: string): Promise<boolean> {
  const inode = (): number | undefined => statSync(path, { throwIfNoEntry: false })?.ino;
  const before = inode();
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  return before !== undefined && inode() === before;
}

function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function removeStale(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Someone else removed it.
  }
}
