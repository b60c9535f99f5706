/** A plain `TaskContext` for tests: real processes and real folders, but no launcher and no worker. */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { JsonObject } from '@keelson/core';
import type { ProcessCommand, ProcessEnd, TaskContext, Workspace } from '../task-type.ts';

export interface TestContextOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Path in the working directory → content: the files of the version. */
  readonly files?: Readonly<Record<string, string>>;
  readonly onLog?: (log: string) => void;
}

export interface TestContext extends AsyncDisposable {
  readonly context: TaskContext;
  readonly progress: readonly { readonly fraction: number; readonly message: string | undefined }[];
  /** All that the task has logged so far. */
  log(): string;
}

/** Makes the context of one attempt; disposing of it removes its folders. */
export function testContext(input: JsonObject, options: TestContextOptions = {}): TestContext {
  const chunks: Buffer[] = [];
  const log = () => Buffer.concat(chunks).toString('utf8');
  const write = (chunk: Uint8Array | string) => {
    chunks.push(Buffer.from(chunk as string));
    options.onLog?.(log());
  };
  const progress: { fraction: number; message: string | undefined }[] = [];
  const signal = options.signal ?? new AbortController().signal;
  let workspace: Promise<Workspace> | undefined;
  const context: TaskContext = {
    instanceId: 'instance-1',
    task: 'task',
    attempt: 1,
    input,
    env: { PATH: searchablePath(), KEELSON_TASK: 'task', ...options.env },
    signal,
    log: { write },
    workspace: () => (workspace ??= makeWorkspace(options.files ?? {})),
    spawn: (command) => spawnProcess(command, signal, write),
    progress: (fraction, message) => void progress.push({ fraction, message }),
  };
  const remove = async () => {
    if (workspace !== undefined) await rm(dirname((await workspace).dir), { recursive: true, force: true });
  };
  return { context, log, progress, [Symbol.asyncDispose]: remove };
}

async function makeWorkspace(files: Readonly<Record<string, string>>): Promise<Workspace> {
  const root = await mkdtemp(join(tmpdir(), 'keelson-task-'));
  const [dir, inputDir, outputDir] = [join(root, 'work'), join(root, 'input'), join(root, 'output')];
  await Promise.all([dir, inputDir, outputDir].map((folder) => mkdir(folder)));
  const outputFile = join(root, 'outputs');
  await writeFile(outputFile, '');
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), content);
  }
  return { dir, inputDir, outputDir, outputFile };
}

function spawnProcess(
  command: ProcessCommand,
  signal: AbortSignal,
  write: (chunk: Uint8Array) => void,
): Promise<ProcessEnd> {
  const [program = '', ...rest] = command.argv;
  const child = spawn(program, rest, {
    cwd: command.cwd,
    env: command.env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.on('data', write);
  child.stderr.on('data', write);
  const stop = () => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
  };
  return new Promise<ProcessEnd>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      resolve({ kind: 'not-started', errno: error.code ?? 'unknown', message: error.message });
    });
    child.once('close', (exitCode, killedBy) => {
      signal.removeEventListener('abort', stop);
      resolve(
        killedBy === null ? { kind: 'exited', exitCode: exitCode ?? -1 } : { kind: 'signalled', signal: killedBy },
      );
    });
    signal.addEventListener('abort', stop, { once: true });
  });
}

/** PATH without the folders that this user may not search: they turn "not found" into "not allowed". */
function searchablePath(): string {
  const searchable = (folder: string): boolean => {
    try {
      accessSync(folder, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  };
  return (process.env['PATH'] ?? '').split(':').filter(searchable).join(':');
}
