import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import Fastify from 'fastify';
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import pino from 'pino';
import { Registry } from 'prom-client';
import { migrate, openStore } from '@keelson/store';
import type { Store } from '@keelson/store';
import { testDatabase } from '@keelson/store/testing';
import { taskTypes } from '@keelson/tasks';
import type { Role } from '@keelson/protocol';
import { answerClientError, answerFrameworkError } from '../http/problems.ts';
import { apiRoutes } from '../routes.ts';

export interface ApiHarness {
  readonly app: FastifyInstance;
  readonly store: Store;
  readonly url: string;
  readonly wakes: () => number;
  /** What was logged, a parsed line each. */
  readonly lines: Record<string, unknown>[];
  readonly token: string;
  tokenOf(role: Role): Promise<string>;
  /** As admin unless headers say otherwise. */
  call(
    method: InjectOptions['method'],
    path: string,
    payload?: InjectOptions['payload'],
    headers?: Record<string, string>,
  ): Promise<LightMyRequestResponse>;
}

/** The API on a real database of its own, without a master. */
export async function apiHarness(t: TestContext): Promise<ApiHarness> {
  const { url } = await testDatabase(t);
  await migrate(url);
  const store = await openStore({ url, applicationName: 'api-test', secretKey: randomBytes(32) });
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  let wakes = 0;
  const app = Fastify({
    logger: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 300 },
    frameworkErrors: answerFrameworkError,
    clientErrorHandler: answerClientError,
  });
  await apiRoutes(app, {
    store,
    log,
    wake: { command: () => void wakes++, followup: () => undefined },
    version: '0.0.0-test',
    taskTypes,
    metrics: new Registry(),
  });
  await app.ready();
  t.after(async () => {
    await app.close();
    await store.close();
  });
  const tokenOf = async (role: Role): Promise<string> =>
    (await store.tokens.create({ name: `test ${role}`, role })).token;
  const token = await tokenOf('admin');
  return {
    app,
    store,
    url,
    lines,
    token,
    tokenOf,
    wakes: () => wakes,
    call: (method, path, payload, headers = {}) =>
      app.inject({
        method,
        url: path,
        ...(payload !== undefined && { payload }),
        headers: { authorization: `Bearer ${token}`, ...headers },
      } as InjectOptions),
  };
}

export const YAML = { 'content-type': 'application/yaml' };

/** A definition of one task with a required date and a flag. */
export const DAILY = `name: daily
project: demo
timezone: Asia/Shanghai
params:
  day: { type: date, default: "\${{ shift(run.time, '-1d') }}" }
  dryRun: { type: boolean, default: false }
tasks:
  extract: { run: "echo hello" }
  load: { needs: [extract], run: "echo load" }
`;
