import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, it } from 'node:test';
import { isAlive, waitUntil } from '../testing/wait-until.ts';
import { createEscapeeHunt } from './escapee-hunt.ts';
import { ATTEMPT_KEY } from './messages.ts';
import { signalGroup } from './process-tree.ts';

const noProc = process.platform === 'linux' ? false : 'needs /proc';

/** In a group of its own, with the key of an attempt. */
function sleeper(key: string, code = 'exec sleep 600') {
  const child = spawn('/bin/sh', ['-c', code], { detached: true, stdio: 'ignore', env: { [ATTEMPT_KEY]: key } });
  return { child, pid: child.pid ?? 0 };
}

describe('escapee hunt', { skip: noProc }, () => {
  it('finds what many ask for at once, each told once, and leaves all others alone', async (t) => {
    const prefix = `hunt-${process.pid}`;
    const hunted = Array.from({ length: 30 }, (_, index) => ({
      key: `${prefix}:${index}`,
      ...sleeper(`${prefix}:${index}`),
    }));
    const spared = sleeper(`${prefix}:spared`);
    t.after(() => [spared, ...hunted].forEach(({ pid }) => signalGroup(pid, 'SIGKILL')));
    const hunt = createEscapeeHunt();
    const told = new Map<string, number>();
    for (const { key } of [...hunted, ...hunted.slice(0, 3)])
      hunt.kill(key, () => told.set(key, (told.get(key) ?? 0) + 1));
    await waitUntil('everyone to be told', () => told.size === hunted.length);
    assert.deepEqual(new Set(told.values()), new Set([1, 2]));
    await waitUntil('the hunted to be dead', () => hunted.every(({ pid }) => !isAlive(pid)));
    assert.ok(isAlive(spared.pid));
    // The desk is not closed after one look.
    await new Promise<void>((resolve) => hunt.kill(`${prefix}:spared`, resolve));
    await waitUntil('the last one to be dead', () => !isAlive(spared.pid));
  });

  it('waits for a group until nothing of it runs, or its time is over', async (t) => {
    const [short, long] = [sleeper('a'), sleeper('b')];
    t.after(() => [short, long].forEach(({ pid }) => signalGroup(pid, 'SIGKILL')));
    const hunt = createEscapeeHunt();
    const seen: string[] = [];
    hunt.awaitGroup(short.pid, Number.POSITIVE_INFINITY, () => seen.push('short'));
    hunt.awaitGroup(long.pid, Number.POSITIVE_INFINITY, () => seen.push('long'));
    signalGroup(short.pid, 'SIGKILL');
    await waitUntil('the dead one to be told', () => seen.length > 0);
    assert.deepEqual(seen, ['short']);
    // A shorter time counts.
    hunt.awaitGroup(long.pid, performance.now() + 50, () => undefined);
    await waitUntil('the other one', () => seen.length > 1);
    assert.ok(isAlive(long.pid));
  });
});
