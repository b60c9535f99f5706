import { hostname } from 'node:os';
import { WORKER_PROTOCOL_VERSION, type RegisterRequest } from '@keelson/protocol';
import type { Processor, TaskRun } from '@keelson/tasks';
import { processorRun, taskRuns } from '@keelson/tasks/run';
import manifest from '../../package.json' with { type: 'json' };
import type { OutputLimits } from '../log/output-limit.ts';
import type { Clock } from '@keelson/core';
import type { WorkerLog } from './worker-log.ts';

export interface WorkerOptions {
  /** Base URLs of the servers (`http://host:7400`); the next one is used when one fails. */
  readonly servers: readonly string[];
  /** The join token. */
  readonly token: string;
  /** Unique among the live workers. */
  readonly name: string;
  readonly group: string;
  /** How many tasks it runs at the same time. */
  readonly slots: number;
  /** A directory of its own, made if it is missing. On a local disk. */
  readonly dataDir: string;
  /** Functions that this process runs itself. */
  readonly processors?: Readonly<Record<string, Processor>>;
  /** The built-in task types that it offers; default: all of them. */
  readonly taskTypes?: readonly string[];
  /** Names of its own environment's variables that tasks see. */
  readonly envAllowlist?: readonly string[];
  /** Between SIGTERM and SIGKILL; at most a quarter of the lease when that is lost. Default 5000. */
  readonly killGraceMs?: number;
  readonly outputLimits?: OutputLimits;
  readonly logBufferBytes?: number;
  /** Disk for files of definitions and artifacts. Default 2 GiB. */
  readonly cacheBytes?: number;
  /**
   * Whether the launcher also kills this process when its lease ends without renewal. Default true: the rule that two
   * attempts never overlap needs it. False only where this process is more than a worker.
   */
  readonly killOnLostLease?: boolean;
  readonly pollWaitMs?: number;
  readonly log?: WorkerLog;
  readonly clock?: Clock;
}

export const DEFAULT_KILL_GRACE_MS = 5000;

/** How to run each task type that the worker offers. Throws on a type that does not exist. */
export function offeredRuns(options: WorkerOptions): ReadonlyMap<string, TaskRun> {
  const runs = new Map<string, TaskRun>();
  for (const name of options.taskTypes ?? taskRuns.keys()) {
    const run = taskRuns.get(name);
    if (run === undefined) {
      throw new Error(`there is no task type ${JSON.stringify(name)}; there are ${[...taskRuns.keys()].join(', ')}`);
    }
    runs.set(name, run);
  }
  const processors = new Map(Object.entries(options.processors ?? {}));
  if (processors.size > 0) runs.set('processor', processorRun(processors));
  return runs;
}

/** What the worker says of itself when it registers. */
export function registration(options: WorkerOptions, types: readonly string[]): RegisterRequest {
  const processors = Object.keys(options.processors ?? {}).map((name) => `processor:${name}`);
  return {
    protocol: WORKER_PROTOCOL_VERSION,
    name: options.name,
    group: options.group,
    slots: options.slots,
    capabilities: [...types.filter((type) => type !== 'processor'), ...processors],
    host: hostname().slice(0, 255),
    pid: process.pid,
    version: manifest.version,
  };
}
