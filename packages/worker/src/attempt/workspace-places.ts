import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Workspace } from '@keelson/tasks';
import type { Clock } from '@keelson/core';

/** Where one attempt's directories lie. */
export interface WorkspacePlace {
  readonly root: string;
  /** Makes sure that the directories are there, and empty. Throws the file system's error. */
  make(): void;
  /** Removes what the attempt left. Never throws; returns the trouble, if any. */
  giveBack(): Promise<string | undefined>;
}

export interface WorkspacePlaces {
  take(): WorkspacePlace;
}

/** Longer than the launcher needs to find and kill a process that escaped: none of them still stands in a used directory. */
const REST_MS = 3000;
const MOST_RESTING = 1024;
const DIRECTORY_MODE = 0o755;

/** The directories below an attempt's root. */
export function workspacePaths(root: string): Workspace {
  return {
    dir: join(root, 'work'),
    inputDir: join(root, 'input'),
    outputDir: join(root, 'output'),
    outputFile: join(root, 'outputs'),
  };
}

/** True for a directory (no link to one) with nothing in it. */
export function isEmptyDirectory(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found?.isDirectory() === true && readdirSync(path).length === 0;
}

/**
 * Hands out places. Four directories cost 1 ms to make on a busy journalling disk, and most tasks leave them as they
 * found them; those are given out again. Only as they were made: empty, same owner, same mode.
 */
export function openWorkspacePlaces(attemptsDir: string, clock: Clock): WorkspacePlaces {
  const resting: { readonly root: string; readonly since: number }[] = [];

  function makeAll(root: string): void {
    const { dir, inputDir, outputDir } = workspacePaths(root);
    mkdirSync(root, { mode: 0o700 });
    for (const path of [dir, inputDir, outputDir]) mkdirSync(path, { mode: DIRECTORY_MODE });
  }

  function place(root: string, made: boolean): WorkspacePlace {
    return {
      root,
      make() {
        if (made) return;
        made = true;
        makeAll(root);
      },
      async giveBack() {
        if (isAsMade(root) && resting.length < MOST_RESTING) {
          resting.push({ root, since: clock.now() });
          return undefined;
        }
        if (!made) return undefined;
        try {
          await rm(root, { recursive: true, force: true, maxRetries: 3 });
          return undefined;
        } catch (error) {
          return error instanceof Error ? error.message : String(error);
        }
      },
    };
  }

  return {
    take() {
      const [oldest] = resting;
      if (oldest !== undefined && clock.now() - oldest.since >= REST_MS) {
        resting.shift();
        if (isAsMade(oldest.root)) return place(oldest.root, true);
        void rm(oldest.root, { recursive: true, force: true });
      }
      return place(join(attemptsDir, randomBytes(9).toString('base64url')), false);
    },
  };
}

function isAsMade(root: string): boolean {
  try {
    const { dir, inputDir, outputDir } = workspacePaths(root);
    const owner = process.getuid?.() ?? 0;
    return (
      readdirSync(root).length === 3 &&
      [dir, inputDir, outputDir].every((path) => {
        const { mode, uid } = lstatSync(path);
        return (mode & 0o7777) === (DIRECTORY_MODE & ~process.umask()) && uid === owner && isEmptyDirectory(path);
      })
    );
  } catch {
    return false;
  }
}
