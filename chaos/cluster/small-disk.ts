import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** A file system of its own, small enough to be filled. */
export interface SmallDisk {
  readonly path: string;
  /** Writes until there is no room; answers how many bytes that took. */
  fill(): number;
  /** Whether it has no room at this moment. */
  isFull(): boolean;
  /** Gives the room back. */
  relieve(): void;
  close(): void;
}

/** Why a file system cannot be mounted here; undefined when it can. */
export function mountObstacle(folder: string): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'mounting a small file system needs root on Linux';
  const probe = join(folder, 'mount-probe');
  try {
    makeSmallDisk(probe, 1).close();
    return undefined;
  } catch (error) {
    return `a tmpfs cannot be mounted: ${error instanceof Error ? error.message : String(error)}`;
  }
}

export function makeSmallDisk(path: string, mebibytes: number): SmallDisk {
  mkdirSync(path, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0755`, 'keelson-chaos', path], {
    stdio: 'pipe',
  });
  const ballast = join(path, '.ballast');
  const block = Buffer.alloc(4096, 1);
  return {
    path,
    fill: () => {
      const file = openSync(ballast, 'a');
      let bytes = 0;
      try {
        for (;;) bytes += writeSync(file, block);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
        return bytes;
      } finally {
        closeSync(file);
      }
    },
    isFull: () => statfsSync(path).bavail === 0,
    relieve: () => rmSync(ballast, { force: true }),
    close: () => void execFileSync('umount', ['-l', path], { stdio: 'pipe' }),
  };
}
