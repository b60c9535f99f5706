/** What worker and launcher say to each other. Plain data: the launcher must stay a small process, so no schema library. */
import type { ProcessEnd } from '@keelson/tasks';
import type { OutputLimits } from '../log/output-limit.ts';

/** Worker → launcher. */
export const START = 1;
export const KILL = 2;
export const DEADLINE = 3;

/** Launcher → worker. */
export const STARTED = 16;
export const OUTPUT = 17;
export const ENDED = 18;

/** Instead of a config: only fill the code cache. */
export const PRIME = 'prime';

/** Before a config: kill what the launcher with this config left. */
export const REAP = 'reap';

/** The launcher's first and only argument, as JSON. */
export interface LauncherConfig {
  readonly workerPid: number;
  /** A directory for the launcher's named pipes. */
  readonly pipeDir: string;
  /** What every attempt key of this launcher begins with. */
  readonly keyPrefix: string;
  /** The control group for it and its tasks; absent where there can be none. */
  readonly cgroup?: string;
  /** Kill the worker too when the lease ends without renewal. */
  readonly killWorker: boolean;
}

export interface StartMessage {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limits: OutputLimits;
}

export interface KillMessage {
  readonly graceMs: number;
}

/** `at`: milliseconds of the machine's monotonic clock (`process.hrtime`), which both processes share; null: none. */
export interface DeadlineMessage {
  readonly at: number | null;
}

/** Before it in the payload: u32 length of this JSON. After it: `headBytes` bytes of head not yet sent, then the tail. */
export interface EndedMessage {
  readonly end: ProcessEnd;
  readonly headBytes: number;
  readonly leftOut: number;
}

/** Carried by every task process in its environment, so that one that left its group can still be found. */
export const ATTEMPT_KEY = 'KEELSON_ATTEMPT_KEY';

/** Now, on the monotonic clock that all processes of this machine share. */
export function machineNow(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
