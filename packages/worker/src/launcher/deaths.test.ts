import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openDataDir } from '../data-dir/data-dir.ts';
import { DEFAULT_OUTPUT_LIMITS } from '../log/output-limit.ts';
import { isAlive, waitUntil } from '../testing/wait-until.ts';
import { makeCgroup } from './cgroup.ts';
import { startLauncher } from './client.ts';

const OWNER = fileURLToPath(new URL('../testing/launcher-owner.ts', import.meta.url));
/** Ignores SIGTERM, has a child in its group and one that left it. Prints the three process ids. */
const STUBBORN =
  'trap "" TERM; setsid sh -c "echo \\$\\$; exec sleep 600" & sleep 600 & echo $!; echo $$; wait; sleep 600';
/** Forks twice, leaves session and group, and carries nothing of its task's environment. Prints its process id. */
const ESCAPE = `(env -i setsid /bin/sh -c 'echo $$; exec /bin/sleep 600' &) ; sleep 600`;

interface Owner {
  readonly child: ChildProcess;
  readonly dataDir: string;
  /** The task's processes. */
  readonly tasks: number[];
  readonly launcher: number;
  readonly guard: number;
}

function freshDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'keelson-deaths-'));
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

async function startOwner(t: TestContext, leaseMs: number, code: string, printed: number): Promise<Owner> {
  const dataDir = freshDir(t);
  const child = spawn(process.execPath, [OWNER, dataDir, String(leaseMs), code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await waitUntil(`${printed} process ids`, () => text.split('\n').length > printed);
  const tasks = text.trim().split('\n').map(Number);
  const launcher = childOf(child.pid ?? 0, 'launcher/main.ts');
  const guard = childOf(launcher, 'keelson-guard');
  t.after(() => {
    for (const pid of [child.pid ?? 0, launcher, guard, ...tasks]) kill(pid, 'SIGKILL');
  });
  assert.ok(tasks.every(isAlive));
  return { child, dataDir, tasks, launcher, guard };
}

function childOf(parent: number, word: string): number {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readProc(`${name}/stat`);
    const [, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ', 2);
    if (ppid === String(parent) && readProc(`${name}/cmdline`).includes(word)) return Number(name);
  }
  throw new Error(`process ${parent} has no child with ${word} in its command line`);
}

function readProc(path: string): string {
  try {
    return readFileSync(join('/proc', path), 'latin1');
  } catch {
    return '';
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is dead, as it should be.
  }
}

const noCgroups = ((): string | false => {
  const dir = makeCgroup(`probe-${process.pid}`);
  if (dir === undefined) return 'this process may not make control groups here';
  rmdirSync(dir);
  return false;
})();

describe('launcher: who dies, and what is left of the tasks', () => {
  it('worker and launcher are killed at the same moment', async (t) => {
    const { child, tasks, launcher } = await startOwner(t, 60_000, STUBBORN, 3);
    for (const pid of [launcher, child.pid ?? 0]) kill(pid, 'SIGKILL');
    await waitUntil('all tasks dead', () => !tasks.some(isAlive));
  });

  it('the launcher is killed while the worker is stopped', async (t) => {
    const { child, tasks, launcher } = await startOwner(t, 60_000, STUBBORN, 3);
    kill(child.pid ?? 0, 'SIGSTOP');
    kill(launcher, 'SIGKILL');
    await waitUntil('all tasks dead', () => !tasks.some(isAlive));
  });

  it('worker and launcher are both stopped past the lease: the tasks die as soon as the launcher goes on', async (t) => {
    const { child, tasks, launcher } = await startOwner(t, 1000, STUBBORN, 3);
    const stoppedAt = performance.now();
    for (const pid of [launcher, child.pid ?? 0]) kill(pid, 'SIGSTOP');
    await waitUntil('the end of the lease', () => performance.now() > stoppedAt + 1500);
    // Nobody is left who could: this is what a fencing token is for.
    assert.ok(tasks.every(isAlive));
    kill(launcher, 'SIGCONT');
    await waitUntil('tasks and worker dead', () => ![...tasks, child.pid ?? 0].some(isAlive));
  });

  it('worker, launcher and guard are killed: the next start kills what they left', async (t) => {
    const { child, dataDir, tasks, launcher, guard } = await startOwner(t, 60_000, STUBBORN, 3);
    for (const pid of [guard, launcher, child.pid ?? 0]) kill(pid, 'SIGKILL');
    await waitUntil('the three dead', () => child.signalCode === 'SIGKILL' && ![guard, launcher].some(isAlive));
    assert.ok(tasks.every(isAlive));
    await nextStart(dataDir);
    await waitUntil('all tasks dead', () => !tasks.some(isAlive));
  });

  it('a guard that is killed is replaced', async (t) => {
    const { launcher, guard, child, tasks } = await startOwner(t, 60_000, STUBBORN, 3);
    kill(guard, 'SIGKILL');
    const present = (): boolean => {
      try {
        return childOf(launcher, 'keelson-guard') !== guard;
      } catch {
        return false;
      }
    };
    await waitUntil('another guard', present);
    for (const pid of [launcher, child.pid ?? 0]) kill(pid, 'SIGKILL');
    await waitUntil('all tasks dead', () => !tasks.some(isAlive));
  });
});

describe('launcher: an escapee that cleared its environment', { skip: noCgroups }, () => {
  it('does not outlive its task, nor the group its launcher', async (t) => {
    const dataDir = freshDir(t);
    const launcher = startLauncher({ dataDir, dataDirId: 'escape', limits: DEFAULT_OUTPUT_LIMITS });
    t.after(() => launcher.close());
    const cgroup = readFileSync(join(dataDir, 'cgroup'), 'utf8');
    let text = '';
    const sink = { write: (chunk: Uint8Array) => void (text += Buffer.from(chunk).toString()), gap: () => undefined };
    const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin' };
    const flag = join(dataDir, 'away');
    const code = `(env -i setsid /bin/sh -c 'echo $$; : > ${flag}; exec /bin/sleep 600' &); while [ ! -e ${flag} ]; do sleep 0.01; done`;
    const end = await launcher.run({ argv: ['sh', '-c', code], cwd: dataDir, env }, sink).end;
    assert.deepEqual(end, { kind: 'exited', exitCode: 0 });
    const pid = Number(text);
    assert.ok(pid > 1);
    await waitUntil('the escapee dead', () => !isAlive(pid));
    await launcher.close();
    assert.ok(!existsSync(cgroup));
  });

  it('dies with worker and launcher', async (t) => {
    const { child, tasks, launcher } = await startOwner(t, 60_000, ESCAPE, 1);
    for (const pid of [launcher, child.pid ?? 0]) kill(pid, 'SIGKILL');
    await waitUntil('the escapee dead', () => !tasks.some(isAlive));
  });

  it('dies when the lease of a stopped worker ends', async (t) => {
    const { child, tasks } = await startOwner(t, 1000, ESCAPE, 1);
    kill(child.pid ?? 0, 'SIGSTOP');
    await waitUntil('the escapee dead', () => !tasks.some(isAlive));
  });

  it('is found by the next start in the same data directory', async (t) => {
    const { child, dataDir, tasks, launcher, guard } = await startOwner(t, 60_000, ESCAPE, 1);
    for (const pid of [guard, launcher, child.pid ?? 0]) kill(pid, 'SIGKILL');
    await waitUntil('the three dead', () => child.signalCode === 'SIGKILL' && ![guard, launcher].some(isAlive));
    assert.ok(tasks.every(isAlive));
    const cgroup = readFileSync(join(dataDir, 'cgroup'), 'utf8');
    const lines = await nextStart(dataDir);
    await waitUntil('the escapee dead', () => !tasks.some(isAlive));
    assert.deepEqual(lines, ['killed processes that an earlier worker had left behind']);
    assert.ok(!existsSync(cgroup));
  });
});

/** What a worker does before it registers. */
async function nextStart(dataDir: string): Promise<string[]> {
  const lines: string[] = [];
  mkdirSync(dataDir, { recursive: true });
  const opened = await openDataDir(dataDir, (_level, message) => void lines.push(message));
  opened.release();
  return lines;
}
