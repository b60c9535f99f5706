import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { ProcessEnd } from '@keelson/tasks';
import { DEFAULT_OUTPUT_LIMITS, leftOutMark } from '../log/output-limit.ts';
import { isAlive, waitUntil } from '../testing/wait-until.ts';
import { LauncherDied, startLauncher, type LaunchedProcess } from './client.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'keelson-launcher-'));
let deaths = 0;
const launcher = startLauncher({
  dataDir,
  dataDirId: 'test',
  limits: DEFAULT_OUTPUT_LIMITS,
  onDeath: () => (deaths += 1),
});
const ENV = { PATH: process.env['PATH'] ?? '/usr/bin:/bin' };

after(async () => {
  await launcher.close();
  rmSync(dataDir, { recursive: true });
});

interface Observed {
  readonly process: LaunchedProcess;
  readonly text: () => string;
}

function start(argv: readonly string[], env: Record<string, string> = ENV, cwd = dataDir): Observed {
  let text = '';
  const sink = {
    write: (chunk: Uint8Array) => void (text += Buffer.from(chunk).toString('latin1')),
    gap: (n: number) => void (text += leftOutMark(n)),
  };
  return { process: launcher.run({ argv, cwd, env }, sink), text: () => text };
}

const shell = (code: string): Observed => start(['sh', '-c', code]);

async function endOf(observed: Observed): Promise<readonly [ProcessEnd, string]> {
  return [await observed.process.end, observed.text()];
}

describe('launcher: how a process ends', () => {
  it('captures output and the exit code', async () => {
    assert.deepEqual(await endOf(start(['echo', '123'])), [{ kind: 'exited', exitCode: 0 }, '123\n']);
    assert.deepEqual(await endOf(shell('exit 137')), [{ kind: 'exited', exitCode: 137 }, '']);
  });

  it('tells the signal', async () => {
    assert.deepEqual(await endOf(shell('kill -SEGV $$')), [{ kind: 'signalled', signal: 'SIGSEGV' }, '']);
  });

  it('tells why a process did not start', async () => {
    const missing = await start(['no-such-command']).process.end;
    assert.equal(missing.kind === 'not-started' && missing.errno, 'ENOENT');
    const noDirectory = await start(['echo'], ENV, join(dataDir, 'nowhere')).process.end;
    assert.match(
      noDirectory.kind === 'not-started' ? noDirectory.message : '',
      /working directory .*nowhere does not exist/,
    );
    const notExecutable = await start(['/etc/passwd']).process.end;
    assert.equal(notExecutable.kind === 'not-started' && notExecutable.errno, 'EACCES');
    const badArgument = await start(['echo', 'a\0b']).process.end;
    assert.equal(badArgument.kind, 'not-started');
    assert.deepEqual(await endOf(start(['echo', 'still works'])), [{ kind: 'exited', exitCode: 0 }, 'still works\n']);
  });

  it('gives the environment as it is, an empty stdin, and no other open file', async () => {
    const [, text] = await endOf(start(['/usr/bin/env'], { ONLY: 'this one' }));
    assert.deepEqual(
      new Set(
        text
          .trim()
          .split('\n')
          .map((line) => line.split('=')[0]),
      ),
      new Set(['KEELSON_ATTEMPT_KEY', 'ONLY']),
    );
    assert.deepEqual(await endOf(shell('wc -c')), [{ kind: 'exited', exitCode: 0 }, '0\n']);
    const [, sockets] = await endOf(shell('for f in /proc/self/fd/*; do readlink $f; done | grep -c socket:'));
    assert.equal(sockets, '0\n');
  });
});

describe('launcher: output', () => {
  it('keeps the order of stdout and stderr, and /dev/stderr can be opened', async () => {
    const [, text] = await endOf(shell('for i in 1 2 3; do echo o$i; echo e$i >&2; echo d$i > /dev/stderr; done'));
    assert.equal(text, 'o1\ne1\nd1\no2\ne2\nd2\no3\ne3\nd3\n');
  });

  it('shows output while the process runs', async () => {
    const observed = shell('echo early; exec sleep 60');
    await waitUntil('the first line', () => observed.text() === 'early\n');
    observed.process.kill(0);
    assert.equal((await observed.process.end).kind, 'signalled');
  });

  it('keeps head and tail of 300 MB in bounded memory, and never blocks the task', async () => {
    const observed = shell('echo first; head -c 300000000 /dev/zero; echo last');
    assert.deepEqual(await observed.process.end, { kind: 'exited', exitCode: 0 });
    const { limitBytes, tailBytes } = DEFAULT_OUTPUT_LIMITS;
    const mark = leftOutMark(300_000_011 - limitBytes);
    const text = observed.text();
    assert.equal(text.length, limitBytes + mark.length);
    assert.ok(text.startsWith('first\n\0'));
    assert.ok(text.endsWith('\0last\n'));
    assert.equal(text.indexOf(mark), limitBytes - tailBytes);
    const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${launcher.pid}/status`, 'utf8'))?.[1];
    assert.ok(Number(peak) < 160_000, `the launcher's memory peaked at ${peak} kB`);
  });
});

describe('launcher: killing', () => {
  async function pidsPrinted(observed: Observed, count: number): Promise<number[]> {
    await waitUntil(`${count} process ids`, () => observed.text().split('\n').length > count);
    return observed.text().trim().split('\n').map(Number);
  }

  it('asks first: SIGTERM, and the process may tidy up', async () => {
    const observed = shell('trap "echo tidied; exit 3" TERM; echo $$; while :; do sleep 0.01; done');
    await pidsPrinted(observed, 1);
    observed.process.kill(20_000);
    assert.deepEqual(await observed.process.end, { kind: 'exited', exitCode: 3 });
    assert.match(observed.text(), /tidied/);
  });

  it('gives a child of the group its grace when the leader goes first', async () => {
    const observed = shell(
      'sh -c \'trap "sleep 0.2; echo child tidied; exit" TERM; echo $$; while :; do sleep 0.01; done\' & echo $$; wait',
    );
    await pidsPrinted(observed, 2);
    observed.process.kill(20_000);
    await observed.process.end;
    assert.match(observed.text(), /child tidied/);
  });

  it('kills what ignores SIGTERM, with its children', async () => {
    const observed = shell('trap "" TERM; sleep 600 & echo $!; echo $$; wait; sleep 600');
    const pids = await pidsPrinted(observed, 2);
    observed.process.kill(100);
    assert.deepEqual(await observed.process.end, { kind: 'signalled', signal: 'SIGKILL' });
    await waitUntil('both dead', () => !pids.some(isAlive));
  });

  it('kills a child that ignores SIGTERM although its leader obeys', async () => {
    const child = 'trap "" TERM; echo $$; exec > /dev/null 2>&1; while :; do sleep 1; done';
    const observed = shell(`sh -c '${child}' & echo $$; wait`);
    const pids = await pidsPrinted(observed, 2);
    observed.process.kill(100);
    assert.deepEqual(await observed.process.end, { kind: 'signalled', signal: 'SIGTERM' });
    await waitUntil('both dead', () => !pids.some(isAlive), 3000);
  });

  it('kills an escapee that left the group', async () => {
    const observed = shell('setsid sh -c "echo \\$\\$; exec sleep 600" & echo $$; wait');
    const pids = await pidsPrinted(observed, 2);
    observed.process.kill(50);
    await observed.process.end;
    await waitUntil('the escapee dead', () => !pids.some(isAlive));
  });

  it('lets nothing outlive a normal exit: neither a grandchild nor an escapee, with or without the output open', async () => {
    for (const [index, background] of ['sh -c', 'setsid sh -c', '> /dev/null 2>&1 setsid sh -c'].entries()) {
      const flag = `away-${index}`;
      const observed = shell(
        `${background} "touch ${flag}; exec sleep 600" & while [ ! -e ${flag} ]; do sleep 0.01; done; echo $!`,
      );
      assert.deepEqual(await observed.process.end, { kind: 'exited', exitCode: 0 });
      const pid = Number(observed.text());
      assert.ok(pid > 1);
      await waitUntil(`dead: ${background}`, () => !isAlive(pid));
    }
  });

  it('a dead launcher takes its tasks along, says so and is replaced', async () => {
    const observed = shell('echo $$; exec sleep 600');
    const [pid = 0] = await pidsPrinted(observed, 1);
    await new Promise((resolve) => setTimeout(resolve, 1100)); // one that dies young is replaced later
    process.kill(launcher.pid ?? 0, 'SIGKILL');
    await assert.rejects(observed.process.end, LauncherDied);
    assert.equal(deaths, 1);
    await waitUntil('the task dead', () => !isAlive(pid));
    assert.deepEqual(await endOf(start(['echo', 'again'])), [{ kind: 'exited', exitCode: 0 }, 'again\n']);
  });
});
