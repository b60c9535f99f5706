import assert from 'node:assert/strict';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Assignment } from '@keelson/protocol';
import { makeAssignment } from '../testing/test-gateway.ts';
import { isAlive, waitUntil } from '../testing/wait-until.ts';
import { setupWorker } from '../testing/worker-setup.ts';
import { storageFailure } from './attempt-failure.ts';

const filesBelow = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => !entry.isDirectory())
    .map(({ name }) => name);
const shell = (run: string, part: Partial<Assignment> = {}): Assignment => makeAssignment({ input: { run }, ...part });

describe('attempt: a process', () => {
  it('gets its environment, and nothing else of the worker', async (t) => {
    process.env['KEELSON_TEST_LEAK'] = 'leaked';
    t.after(() => delete process.env['KEELSON_TEST_LEAK']);
    const { gateway, run } = await setupWorker(t);
    const task = shell('env | sort', { task: 'show', env: { DAY: '2026-01-02' }, fencingToken: '77', attempt: 3 });
    assert.equal((await run(task)).end, 'succeeded');
    const env = Object.fromEntries(
      gateway
        .logOf(task.token)
        .trim()
        .split('\n')
        .map((line) => line.split(/=(.*)/s) as [string, string]),
    );
    assert.equal(env['DAY'], '2026-01-02');
    assert.equal(env['KEELSON_INSTANCE_ID'], task.instanceId);
    assert.equal(env['KEELSON_TASK'], 'show');
    assert.equal(env['KEELSON_ATTEMPT'], '3');
    assert.equal(env['KEELSON_RUN_TIME'], task.runTime);
    assert.equal(env['KEELSON_FENCING_TOKEN'], '77');
    assert.equal(env['KEELSON_TEST_LEAK'], undefined);
    assert.ok(!JSON.stringify(env).includes(gateway.joinToken) && !JSON.stringify(env).includes(task.token));
  });

  it('has the files and the upstream artifacts in a fresh directory, which is removed', async (t) => {
    const { gateway, run, dataDir } = await setupWorker(t);
    let fetches = 0;
    gateway.fault = (route) => void (route === 'blobs' && (fetches += 1));
    const part = {
      files: [gateway.addBlob('bin/hello.sh', '#!/bin/sh\necho hello\necho "# changed" >> "$0"\n', 0o755)],
      inputs: [gateway.addBlob('extract/data/sales.csv', 'a,b\n1,2\n')],
    };
    for (let round = 0; round < 2; round += 1) {
      const task = shell(
        'bin/hello.sh; cat "$KEELSON_INPUT_DIR/extract/data/sales.csv"; grep -c changed bin/hello.sh',
        part,
      );
      assert.equal((await run(task)).end, 'succeeded');
      assert.equal(gateway.logOf(task.token), 'hello\na,b\n1,2\n2\n');
    }
    assert.equal(fetches, 2, 'the second attempt takes both from the cache');
    await waitUntil('the directories removed', () => filesBelow(join(dataDir, 'attempts')).length === 0);
  });

  it('reports outputs, and uploads its artifacts first', async (t) => {
    const { gateway, run } = await setupWorker(t);
    const end = await run(
      shell(
        'echo rows:=3 > "$KEELSON_OUTPUT"; cd "$KEELSON_OUTPUT_DIR"; mkdir d; printf abc > d/x; printf run > y; chmod 750 y; ln -s /etc/passwd link',
      ),
    );
    assert.equal(end.end, 'succeeded');
    assert.deepEqual(end.outputs, { rows: 3 });
    assert.deepEqual(
      end.artifacts?.map(({ path, size, mode }) => [path, size, mode]),
      [
        ['d/x', 3, 0o644],
        ['y', 3, 0o750],
      ],
    );
    for (const { sha256 } of end.artifacts ?? []) assert.ok(gateway.blobs.has(sha256));
    assert.match(gateway.logOf(end.token), /link in the output directory is no plain file/);
  });

  it('says why it failed', async (t) => {
    const { run } = await setupWorker(t);
    assert.deepEqual((await run(shell('exit 42'))).reason, {
      code: 'exit-code',
      message: 'exit code 42',
      exitCode: 42,
    });
    assert.equal((await run(shell('no-such-command-here'))).reason?.code, 'command-not-found');
    assert.equal((await run(makeAssignment({ uses: 'fortran' }))).reason?.code, 'unknown-task-type');
  });

  it('ends at its timeout, also when it ignores SIGTERM', async (t) => {
    const { gateway, run } = await setupWorker(t);
    const end = await run(
      shell('trap "" TERM; echo $$; sleep 600; sleep 600', { timeout: { afterMs: 200, action: 'fail' } }),
    );
    assert.equal(end.end, 'failed');
    assert.equal(end.reason?.code, 'timeout');
    await waitUntil('dead', () => !isAlive(Number(gateway.logOf(end.token))));
    assert.equal((await run(shell('sleep 0.1', { timeout: { afterMs: 1, action: 'warn' } }))).end, 'succeeded');
  });

  it('ends stopped when it is told to stop', async (t) => {
    const { gateway } = await setupWorker(t);
    const task = shell('echo $$; exec sleep 600');
    gateway.assign(task);
    await waitUntil('its first line', () => gateway.logOf(task.token) !== '');
    gateway.kill(task.token, 'stop');
    await waitUntil('its end', () => gateway.endOf(task.token) !== undefined);
    assert.equal(gateway.endOf(task.token)?.end, 'stopped');
    assert.equal(gateway.endOf(task.token)?.reason?.code, 'stopped');
    assert.ok(!isAlive(Number(gateway.logOf(task.token))));
  });

  it('is lost with the launcher, and the worker goes on', async (t) => {
    const { gateway, run, lines } = await setupWorker(t);
    const task = shell('echo $PPID; exec sleep 600');
    gateway.assign(task);
    await waitUntil('its first line', () => gateway.logOf(task.token) !== '');
    process.kill(Number(gateway.logOf(task.token)), 'SIGKILL');
    await waitUntil('its end', () => gateway.endOf(task.token) !== undefined);
    assert.equal(gateway.endOf(task.token)?.end, 'lost');
    assert.equal(gateway.endOf(task.token)?.reason?.code, 'launcher-died');
    assert.ok(lines.some((line) => line.includes('launcher process ended unexpectedly')));
    await waitUntil('a new launcher', async () => (await run(shell('echo again'))).end === 'succeeded');
  });
});

describe('attempt: files that cannot be had', () => {
  it('refuses paths that lead out of the directory', async (t) => {
    const { gateway, run, dataDir } = await setupWorker(t);
    for (const path of ['../escape', '/etc/escape', 'a/../../escape', 'a//b', './x']) {
      const end = await run(shell('true', { files: [gateway.addBlob(path, 'x')] }));
      assert.equal(end.reason?.code, 'unsafe-path', path);
    }
    assert.deepEqual(
      filesBelow(dataDir).filter((name) => name.includes('escape') || name === 'x'),
      [],
    );
  });

  it('names a missing file, a wrong content and a refused upload', async (t) => {
    const { gateway, run } = await setupWorker(t);
    const missing = { ...gateway.addBlob('m', 'missing'), sha256: '0'.repeat(64) };
    assert.equal((await run(shell('true', { files: [missing] }))).reason?.code, 'file-missing');
    const wrong = gateway.addBlob('w', 'right');
    gateway.blobs.set(wrong.sha256, Buffer.from('wrong'));
    const fetched = await run(shell('true', { files: [wrong] }));
    assert.equal(fetched.reason?.code, 'file-fetch-failed');
    gateway.fault = (route) => (route === 'blobs' ? { status: 413, code: 'body-too-large' } : undefined);
    const upload = await run(shell('echo x > "$KEELSON_OUTPUT_DIR/x"'));
    assert.equal(upload.end, 'failed');
    assert.equal(upload.reason?.code, 'upload-failed');
    assert.match(upload.reason?.message ?? '', /artifact x .*413 body-too-large/);
  });

  it('names a directory that cannot be made, and a full disk', async (t) => {
    const { run, dataDir } = await setupWorker(t);
    rmSync(join(dataDir, 'attempts'), { recursive: true });
    writeFileSync(join(dataDir, 'attempts'), 'in the way');
    assert.equal((await run(shell('true'))).reason?.code, 'storage-error');
    assert.equal(
      storageFailure(Object.assign(new Error('no space left'), { code: 'ENOSPC' }), 'x').reason.code,
      'disk-full',
    );
    assert.equal(
      storageFailure(Object.assign(new Error('denied'), { code: 'EACCES' }), 'x').reason.code,
      'directory-not-writable',
    );
  });
});

describe('attempt: a processor', () => {
  const processor = (name: string, part: Partial<Assignment> = {}): Assignment =>
    makeAssignment({ uses: 'processor', input: { processor: name, args: { n: 2 } }, ...part });

  it('gets its arguments, logs, tells its progress, and touches no disk', async (t) => {
    const done = Promise.withResolvers<void>();
    const { gateway, dataDir } = await setupWorker(t, {
      processors: {
        async double({ args, log, progress }) {
          log.info('working');
          progress(0.5, 'half');
          await done.promise;
          return { twice: 2 * (args as { n: number }).n };
        },
      },
    });
    const task = processor('double');
    gateway.assign(task);
    await waitUntil('its progress', () =>
      gateway.renewals.some(({ progress }) =>
        progress?.some((item) => item.token === task.token && item.fraction === 0.5),
      ),
    );
    await waitUntil('its log while it runs', () => gateway.logOf(task.token) === 'working\n');
    assert.deepEqual(readdirSync(join(dataDir, 'attempts')), []);
    done.resolve();
    await waitUntil('its end', () => gateway.endOf(task.token) !== undefined);
    assert.deepEqual(gateway.endOf(task.token)?.outputs, { twice: 4 });
    assert.deepEqual(gateway.registrations[0]?.capabilities.at(-1), 'processor:double');
  });

  it('masks secrets in its log and in its failure', async (t) => {
    const { gateway, run, lines } = await setupWorker(t, {
      processors: {
        leak({ log }) {
          log.write('pw=hun');
          log.write('ter2!\n');
          throw new Error('cannot log in with hunter2!');
        },
      },
    });
    const end = await run(processor('leak', { secrets: ['hunter2!'] }));
    assert.equal(end.reason?.message, 'Error: cannot log in with ***');
    assert.match(gateway.logOf(end.token), /^pw=\*\*\*\n/);
    assert.ok(!/hunter2/.test(gateway.logOf(end.token) + lines.join()));
  });

  it('ends by its signal, or is reported as one that did not stop', async (t) => {
    const release = Promise.withResolvers<void>();
    const { gateway, lines } = await setupWorker(t, {
      killGraceMs: 50,
      processors: {
        polite: ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
        deaf: () => release.promise,
      },
    });
    for (const [name, code] of [
      ['polite', 'stopped'],
      ['deaf', 'did-not-stop'],
    ] as const) {
      const task = processor(name);
      gateway.assign(task);
      await waitUntil('its start', () =>
        gateway.reports.some(({ kind, token }) => kind === 'started' && token === task.token),
      );
      gateway.kill(task.token, 'stop');
      await waitUntil('its end', () => gateway.endOf(task.token) !== undefined);
      assert.equal(gateway.endOf(task.token)?.end, 'stopped');
      assert.equal(gateway.endOf(task.token)?.reason?.code, code);
    }
    assert.ok(lines.some((line) => line.includes('ignored its abort signal')));
    release.resolve();
  });
});
