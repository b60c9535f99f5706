import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { plantEnvironment } from '../../simulation/plants/failpoint.ts';
import type { FailpointOrders, OrdersFile } from '../../simulation/plants/failpoint.ts';
import { FAKE_CLOCK } from './fake-clock.ts';
import { manageProcess } from './process.ts';
import type { ManagedProcess } from './process.ts';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const KEELSON = path('../../packages/cli/bin/keelson.js');
const PROCESSOR_WORKER = path('./processor-worker.ts');
const PLANTS = path('../../simulation/plants/register.ts');

export type WorkerKind = 'shell' | 'processor';

interface Program {
  readonly name: string;
  readonly folder: string;
  /** Goes before the command. */
  readonly prefix: readonly string[];
  readonly plant: string | undefined;
  readonly failpoints?: FailpointOrders | OrdersFile | undefined;
}

export interface ServerProgram extends Program {
  readonly roles: readonly string[];
  /** host:port */
  readonly listen: string;
  readonly databaseUrl: string;
  readonly secretKey: string;
  readonly blobs: string | undefined;
  /** Its wall clock is read from this file, where libfaketime is installed. */
  readonly clockFile: string | undefined;
}

export interface WorkerProgram extends Program {
  readonly kind: WorkerKind;
  readonly slots: number;
  readonly servers: readonly string[];
  readonly token: string;
  readonly dataDir: string;
  readonly drainSeconds: number;
}

/** `keelson serve`, as an operator starts it. */
export function serverProcess(program: ServerProgram): ManagedProcess {
  const { name, roles, listen, databaseUrl, secretKey, blobs, folder, prefix, clockFile } = program;
  const args = ['serve', '--roles', roles.join(','), '--listen', listen, '--log-level', 'info'];
  if (blobs !== undefined) args.push('--blobs', pathToFileURL(blobs).href);
  return manageProcess({
    name,
    command: [...prefix, process.execPath, ...planted(program), KEELSON, ...args],
    env: {
      KEELSON_DATABASE_URL: databaseUrl,
      KEELSON_SECRET_KEY: secretKey,
      ...plantsOf(program),
      ...(clockFile !== undefined && FAKE_CLOCK?.environment(clockFile)),
    },
    logFile: join(folder, `${name}.log`),
    readyWords: '"msg":"ready"',
    cwd: folder,
  });
}

/** `keelson worker`, or the campaign's own worker with processors. Tasks see its name as `USER`. */
export function workerProcess(program: WorkerProgram): ManagedProcess {
  const { name, kind, slots, servers, token, dataDir, folder, prefix, drainSeconds } = program;
  const shell = ['worker', '--server', ...servers, '--slots', String(slots), '--name', name, '--data', dataDir];
  shell.push('--grace', String(drainSeconds));
  const processor = {
    CHAOS_WORKER: name,
    CHAOS_SERVERS: servers.join(' '),
    CHAOS_DATA: dataDir,
    CHAOS_SLOTS: String(slots),
    CHAOS_DRAIN_MS: String(drainSeconds * 1000),
  };
  return manageProcess({
    name,
    command: [
      ...prefix,
      process.execPath,
      ...planted(program),
      ...(kind === 'shell' ? [KEELSON, ...shell] : [PROCESSOR_WORKER]),
    ],
    env: {
      KEELSON_TOKEN: token,
      USER: name,
      ...(kind === 'processor' && processor),
      ...plantsOf(program),
    },
    logFile: join(folder, `${name}.log`),
    readyWords: 'registered',
    cwd: folder,
  });
}

function planted(program: Program): string[] {
  return Object.keys(plantsOf(program)).length === 0 ? [] : ['--import', pathToFileURL(PLANTS).href];
}

function plantsOf({ plant, failpoints }: Program): Record<string, string> {
  return plantEnvironment(plant === undefined ? [] : [plant], failpoints);
}
