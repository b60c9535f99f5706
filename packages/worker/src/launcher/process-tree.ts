import { readdirSync, readFileSync } from 'node:fs';
import { ATTEMPT_KEY } from './messages.ts';

/** Sends a signal to a whole process group. False: the group is empty. */
export function signalGroup(pgid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pgid, signal);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/**
 * The groups in which a process runs. Zombies do not count: an orphan stays one until the machine's init reaps it, which in a container may
 * be never. Elsewhere than on
 * Linux nothing tells them apart, and all run.
 */
export function runningGroups(): { has(pgid: number): boolean } {
  if (process.platform !== 'linux') return { has: () => true };
  const groups = new Set<number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const [state, , group] = statFields(name);
    if (group !== undefined && state !== 'Z' && state !== 'X') groups.add(Number(group));
  }
  return groups;
}

/** State, parent, group and so on of a process: the fields behind its name, which may itself hold spaces and brackets. */
function statFields(pid: string): readonly string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

/**
 * The processes whose environment holds an attempt key that `matches`: also those that left their group by `setsid`.
 * Linux only (elsewhere none are found); a process that cleared its environment is not found either.
 */
export function processesByKey(matches: (key: string) => boolean): number[] {
  if (process.platform !== 'linux') return [];
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const key = attemptKeyOf(pid);
    if (key !== undefined && matches(key)) found.push(pid);
  }
  return found;
}

/** Field 22 of `stat`, counted from the state, which is field 3. */
const START_TIME = 19;

/**
 * Those of `pids` that can belong to none of the running tasks: older than the first of them, in none of their groups, no child of this
 * process. A process that hides from its task is told from one that a running task still needs by its age alone.
 *
 * @param leaders process ids (and groups) of the running tasks
 */
export function leftovers(pids: readonly number[], leaders: readonly number[]): number[] {
  const oldest = Math.min(...leaders.map((pid) => Number(statFields(String(pid))[START_TIME] ?? 0)));
  const groups = new Set(leaders.map(String));
  return pids.filter((pid) => {
    const { 1: parent, 2: group = '', [START_TIME]: startTime } = statFields(String(pid));
    if (startTime === undefined || pid === process.pid || parent === String(process.pid)) return false;
    return !groups.has(group) && Number(startTime) < oldest;
  });
}

/** Kills every process that `matches` finds, and looks again for what it forked meanwhile. Returns how many died. */
export function killByKey(matches: (key: string) => boolean): number {
  const killed = new Set<number>();
  for (let round = 0; round < 10; round += 1) {
    const found = processesByKey(matches);
    const fresh = found.filter((pid) => !killed.has(pid));
    if (fresh.length === 0) break;
    for (const pid of fresh) {
      killed.add(pid);
      signalProcess(pid, 'SIGKILL');
    }
  }
  return killed.size;
}

/** Sends a signal to one process. False: it is gone, or not ours. */
export function signalProcess(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

const MARKER = `${ATTEMPT_KEY}=`;

function attemptKeyOf(pid: number): string | undefined {
  let environ: string;
  try {
    environ = readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return undefined;
  }
  const at = environ.startsWith(MARKER) ? 0 : environ.indexOf(`\0${MARKER}`) + 1;
  if (at === 0 && !environ.startsWith(MARKER)) return undefined;
  const end = environ.indexOf('\0', at);
  return environ.slice(at + MARKER.length, end === -1 ? undefined : end);
}
