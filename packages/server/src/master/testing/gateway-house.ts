/** A master with its gateway over real HTTP on a real PostgreSQL, for tests that talk to it as workers do. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import type { TestContext } from 'node:test';
import type { TaskDefinition } from '@keelson/core';
import { workflowOf } from '@keelson/core/testing';
import { migrate, openStore } from '@keelson/store';
import type { Store } from '@keelson/store';
import { testDatabase } from '@keelson/store/testing';
import Fastify from 'fastify';
import pg from 'pg';
import pino from 'pino';
import { startMaster } from '../master.ts';
import type { Master } from '../master.ts';

export interface GatewayHouse {
  readonly store: Store;
  readonly master: Master;
  readonly port: number;
  /** The URL of the protocol's root. */
  readonly url: string;
  readonly joinToken: string;
  /** What the master has logged. */
  readonly lines: { readonly level: number; readonly msg: string; readonly code?: string; readonly who?: string }[];
  sql(text: string, values?: readonly unknown[]): Promise<pg.QueryResultRow[]>;
  /** Opens a transaction with this statement, and keeps its locks until the answer is called. */
  hold(text: string, values?: readonly unknown[]): Promise<() => Promise<void>>;
  /** Applies a workflow and starts an instance of it. */
  start(name: string, tasks: readonly TaskDefinition[]): Promise<string>;
  call(path: string, bearer: string, body: unknown, more?: RequestInit): Promise<Answer>;
  /** @param more of what it says of itself */
  join(name: string, more?: object): Promise<TestWorker>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown> & { readonly code?: string };
}

export interface TestWorker {
  readonly id: string;
  readonly credential: string;
  call(path: string, body: unknown): Promise<Answer>;
  /** Polls until it gets a task; answers its token. */
  take(): Promise<string>;
  /** The end of a task, as a report. */
  ended(token: string, more?: object): object;
}

export async function openGatewayHouse(t: TestContext): Promise<GatewayHouse> {
  const { url: database } = await testDatabase(t);
  await migrate(database);
  const store = await openStore({ url: database, applicationName: 'gateway-test', secretKey: randomBytes(32) });
  const pool = new pg.Pool({ connectionString: database, options: '-c search_path=keelson', max: 2 });
  // Workers of a test do not renew.
  await pool.query("update worker_group set lease_ms = 600000 where name = 'default'");
  const lines: GatewayHouse['lines'] = [];
  const sink = new Writable({ write: (chunk, _encoding, done) => (lines.push(JSON.parse(String(chunk))), done()) });
  const master = startMaster({ store, signals: store.signals, log: pino({ level: 'info' }, sink) });
  const app = Fastify({ logger: false });
  await app.register(master.routes, { prefix: '/worker/v1' });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const holds = new Set<() => Promise<void>>();
  t.after(async () => {
    // A test that failed in the middle has not given them back, and the master would wait for them.
    await Promise.all([...holds].map((free) => free()));
    await master.stop();
    app.server.closeAllConnections();
    await app.close();
    await pool.end();
    await store.close();
  });
  const { port } = app.server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/worker/v1/`;
  const joinToken = (await store.tokens.create({ name: 'w', role: 'worker' })).token;
  const call: GatewayHouse['call'] = async (path, bearer, body, more = {}) => {
    const raw = typeof body === 'string' || body instanceof Uint8Array;
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
      body: raw ? (body as string) : JSON.stringify(body),
      ...more,
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) };
  };
  const house: Omit<GatewayHouse, 'join'> = {
    store,
    master,
    port,
    url,
    joinToken,
    lines,
    call,
    sql: async (text, values = []) => (await pool.query(text, [...values])).rows,
    hold: async (text, values = []) => {
      const client = await pool.connect();
      await client.query('begin');
      await client.query(text, [...values]);
      const free = async (): Promise<void> => {
        if (!holds.delete(free)) return;
        await client.query('rollback');
        client.release();
      };
      holds.add(free);
      return free;
    },
    start: (name, tasks) => startInstance(store, pool, name, tasks),
  };
  return { ...house, join: (name, more) => joinWorker(house, name, more) };
}

async function startInstance(
  store: Store,
  pool: pg.Pool,
  name: string,
  tasks: readonly TaskDefinition[],
): Promise<string> {
  const definition = workflowOf(tasks, { name });
  const source = JSON.stringify(definition);
  const hash = createHash('sha256').update(source).digest('hex');
  const [applied] = await store.definitions.apply([
    { project: 'p', name, definition, source, files: [], hash, createdBy: 't' },
  ]);
  assert.ok(applied);
  const { rows } = await pool.query('select workflow_id, task_count from workflow_version where id = $1', [
    applied.versionId,
  ]);
  const { instanceId } = await store.starts.start({
    workflowId: rows[0].workflow_id,
    versionId: applied.versionId,
    taskCount: rows[0].task_count,
    params: {},
    runTime: '2026-01-02T03:04:05Z',
    priority: 0,
    createdBy: 't',
  });
  store.signals.send('command');
  return instanceId;
}

/** What a worker says of itself. */
export function registration(name: string, more: object = {}): object {
  const host = { host: 'host-1', pid: 1, version: '0' };
  return { protocol: 1, name, group: 'default', slots: 4, capabilities: ['shell'], ...host, ...more };
}

async function joinWorker(house: Omit<GatewayHouse, 'join'>, name: string, more: object = {}): Promise<TestWorker> {
  const { status, body } = await house.call('register', house.joinToken, registration(name, more));
  assert.equal(status, 200, JSON.stringify(body));
  const credential = String(body['credential']);
  const worker: TestWorker = {
    id: String(body['incarnation']),
    credential,
    call: (path, said) => house.call(path, credential, said),
    take: async () => {
      for (let tries = 0; tries < 20; tries++) {
        const { body: answer } = await worker.call('poll', { held: [], waitMs: 2000, draining: false });
        const [assignment] = answer['assignments'] as { token: string }[];
        if (assignment !== undefined) return assignment.token;
      }
      return assert.fail('it was given no task');
    },
    ended: (token, more = {}) => ({
      kind: 'ended',
      token,
      end: 'succeeded',
      startedAgoMs: 2,
      endedAgoMs: 1,
      ...more,
    }),
  };
  return worker;
}

export async function until(what: string, done: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  const giveUpAt = performance.now() + ms;
  while (!(await done())) {
    assert.ok(performance.now() < giveUpAt, `in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
