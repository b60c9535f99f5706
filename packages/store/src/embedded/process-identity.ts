import { readFileSync } from 'node:fs';

/**
 * Names one process for good. A process id alone recurs: after a reboot, and in a container within seconds.
 * `boot` and `started` are null where the platform does not tell (anything but Linux).
 */
export type ProcessIdentity = { pid: number; boot: string | null; started: string | null };

/** The identity of a process that runs now; this process by default. */
export function processIdentity(pid: number = process.pid): ProcessIdentity {
  return { pid, boot: bootId(), started: startTicks(pid) };
}

/** Whether exactly this process (not a later one with the same id) still runs. */
export function isRunning(identity: ProcessIdentity): boolean {
  if (identity.boot !== null && identity.boot !== bootId()) return false;
  if (!pidExists(identity.pid)) return false;
  return identity.started === null || identity.started === startTicks(identity.pid);
}

/** Reads an identity out of parsed JSON; undefined if it is not one. */
export function parseProcessIdentity(value: unknown): ProcessIdentity | undefined {
  if (typeof value !== 'object' || value === null || !('pid' in value) || typeof value.pid !== 'number')
    return undefined;
  const boot = 'boot' in value && typeof value.boot === 'string' ? value.boot : null;
  const started = 'started' in value && typeof value.started === 'string' ? value.started : null;
  return { pid: value.pid, boot, started };
}

/** Whether a process with this id exists, whoever owns it. A zombie counts as gone: it holds nothing any more. */
export function pidExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  return statFields(pid)?.[0] !== 'Z';
}

function bootId(): string | null {
  return readText('/proc/sys/kernel/random/boot_id')?.trim() ?? null;
}

/** Field 22 of /proc/<pid>/stat: the start time in clock ticks since boot. */
function startTicks(pid: number): string | null {
  return statFields(pid)?.[19] ?? null;
}

/** The fields of /proc/<pid>/stat from the third (the state) on; the second may itself contain spaces and brackets. */
function statFields(pid: number): string[] | undefined {
  const text = readText(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
