import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import {
  applyRequest,
  applyResponse,
  backfill,
  backfillDetail,
  backfillOperationResponse,
  backfillPreview,
  backfillRequest,
  backfillRun,
  bulkRequest,
  bulkResponse,
  cancelBackfillRequest,
  createTokenRequest,
  createdToken,
  datasource,
  doctorRepairs,
  doctorReport,
  forceSuccessRequest,
  historyEntry,
  instance,
  instanceDetail,
  liveEvent,
  logEvent,
  makeProblem,
  node,
  pageOf,
  operationResponse,
  priorityRequest,
  problem,
  project,
  projectParams,
  putDatasourceRequest,
  putRetentionRequest,
  putSecretRequest,
  retentionPolicy,
  retentionRun,
  runRetentionRequest,
  putWorkerGroupRequest,
  recoverRequest,
  rerunRequest,
  firesResponse,
  putCalendarResponse,
  schedule,
  scheduleChangeRequest,
  scheduleChangeResponse,
  schedulePreviewResponse,
  calendar,
  secret,
  startRequest,
  startResponse,
  taskInstanceDetail,
  testDatasourceResponse,
  token,
  why,
  workerGroup,
  workflow,
  verifyReport,
} from '@keelson/protocol';
import type { ProblemCode, ProblemExtra } from '@keelson/protocol';
import type { z } from 'zod';

interface Route {
  readonly request?: z.ZodType;
  /** Absent: an answer without a body, or one that the handler writes itself. */
  readonly response?: z.ZodType;
}

/** The shapes of the real API: a test that answers or asks with anything else fails. */
const ROUTES: Readonly<Record<string, Route>> = {
  'POST apply': { request: applyRequest, response: applyResponse },
  'PUT blobs/*': {},
  'GET projects': { response: pageOf(project) },
  'GET projects/*/workflows': { response: pageOf(workflow) },
  'DELETE projects/*/workflows/*': {},
  'POST projects/*/workflows/*/instances': { request: startRequest, response: startResponse },
  'GET schedules': { response: pageOf(schedule) },
  'GET schedules/*/fires': { response: firesResponse },
  'POST projects/*/workflows/*/schedules/pause': { request: scheduleChangeRequest, response: scheduleChangeResponse },
  'POST projects/*/workflows/*/schedules/resume': { request: scheduleChangeRequest, response: scheduleChangeResponse },
  'GET projects/*/calendars/*': { response: calendar },
  'PUT projects/*/calendars/*': { response: putCalendarResponse },
  'DELETE projects/*/calendars/*': {},
  'GET projects/*/secrets': { response: pageOf(secret) },
  'PUT projects/*/secrets/*': { request: putSecretRequest },
  'DELETE projects/*/secrets/*': {},
  'GET projects/*/datasources': { response: pageOf(datasource) },
  'PUT projects/*/datasources/*': { request: putDatasourceRequest },
  'POST projects/*/datasources/*/test': { response: testDatasourceResponse },
  'GET projects/*/params': { response: projectParams },
  'PUT projects/*/params': { request: projectParams, response: projectParams },
  'GET projects/*/calendars': { response: pageOf(calendar) },
  'GET projects/*/workflows/*/schedule-preview': { response: schedulePreviewResponse },
  'GET instances': { response: pageOf(instance) },
  'GET instances/*': { response: instanceDetail },
  'GET instances/*/tasks/*': { response: taskInstanceDetail },
  'GET instances/*/why': { response: why },
  'GET instances/*/command-errors': {},
  'GET instances/*/events': {},
  'GET instances/*/history': { response: pageOf(historyEntry) },
  'POST instances/*/pause': { response: operationResponse },
  'POST instances/*/resume': { response: operationResponse },
  'POST instances/*/stop': { response: operationResponse },
  'POST instances/*/rerun': { request: rerunRequest, response: operationResponse },
  'POST instances/*/recover': { request: recoverRequest, response: operationResponse },
  'POST instances/*/priority': { request: priorityRequest, response: operationResponse },
  'POST instances/*/tasks/*/skip': { response: operationResponse },
  'POST instances/*/tasks/*/force-success': { request: forceSuccessRequest, response: operationResponse },
  'POST instances/operations': { request: bulkRequest, response: bulkResponse },
  'POST projects/*/workflows/*/backfills': { request: backfillRequest, response: backfillDetail },
  'POST projects/*/workflows/*/backfills/preview': { request: backfillRequest, response: backfillPreview },
  'GET backfills': { response: pageOf(backfill) },
  'GET backfills/*': { response: backfillDetail },
  'GET backfills/*/runs': { response: pageOf(backfillRun) },
  'POST backfills/*/pause': { response: backfillOperationResponse },
  'POST backfills/*/resume': { response: backfillOperationResponse },
  'POST backfills/*/cancel': { request: cancelBackfillRequest, response: backfillOperationResponse },
  'GET task-instances/*/log': {},
  'GET nodes': { response: pageOf(node) },
  'GET worker-groups': { response: pageOf(workerGroup) },
  'PUT worker-groups/*': { request: putWorkerGroupRequest, response: workerGroup },
  'GET doctor': { response: doctorReport },
  'GET verify': { response: verifyReport },
  'POST doctor/repair': { response: doctorRepairs },
  'GET retention': { response: retentionPolicy },
  'PUT retention': { request: putRetentionRequest, response: retentionPolicy },
  'POST retention/run': { request: runRetentionRequest, response: retentionRun },
  'GET tokens': { response: pageOf(token) },
  'POST tokens': { request: createTokenRequest, response: createdToken },
  'DELETE tokens/*': {},
};

export interface ApiCall {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  readonly bytes: Buffer;
}

/** Gives the body of a 200, or writes the answer itself and gives undefined. */
export type Handler = (call: ApiCall, response: ServerResponse) => unknown;

export interface TestApi {
  readonly env: { readonly KEELSON_URL: string; readonly KEELSON_TOKEN: string };
  readonly calls: ApiCall[];
}

/** A real HTTP server with the handlers of one test, by `METHOD path` with `*` for any segment. */
export async function testApi(context: TestContext, handlers: Readonly<Record<string, Handler>>): Promise<TestApi> {
  const calls: ApiCall[] = [];
  const broken: unknown[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      try {
        answer(
          request.method ?? '',
          new URL(request.url ?? '', 'http://x'),
          request.headers,
          Buffer.concat(chunks),
          response,
        );
      } catch (error) {
        broken.push(error);
        response.destroy();
      }
    });
  });
  function answer(
    method: string,
    url: URL,
    headers: IncomingHttpHeaders,
    bytes: Buffer,
    response: ServerResponse,
  ): void {
    const path = url.pathname.replace('/api/v1/', '');
    const pattern = Object.keys(handlers).find((key) => matches(key, `${method} ${path}`));
    assert.ok(pattern !== undefined, `no handler for ${method} ${path}`);
    const route = ROUTES[pattern];
    assert.ok(route !== undefined, `${pattern} is no route of the API`);
    assert.equal(headers.authorization, 'Bearer test-token');
    const isJson = headers['content-type'] === 'application/json';
    const body: unknown = isJson ? JSON.parse(bytes.toString('utf8')) : undefined;
    if (route.request !== undefined) route.request.parse(body);
    const call = { method, path, query: url.searchParams, headers, body, bytes };
    calls.push(call);
    const result = handlers[pattern]?.(call, response);
    if (result === undefined) return;
    route.response?.parse(result);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result));
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
    assert.deepEqual(broken, []);
  });
  return {
    env: { KEELSON_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, KEELSON_TOKEN: 'test-token' },
    calls,
  };
}

function matches(pattern: string, text: string): boolean {
  const [wanted, given] = [pattern.split(/[ /]/), text.split(/[ /]/)];
  return wanted.length === given.length && wanted.every((part, index) => part === '*' || part === given[index]);
}

export function refuse(response: ServerResponse, code: ProblemCode, detail: string, extra: ProblemExtra = {}): void {
  const made = problem.parse(makeProblem(code, detail, extra));
  response.writeHead(made.status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(made));
}

export function noContent(response: ServerResponse): void {
  response.writeHead(204).end();
}

/** Sends events, each checked, and ends the stream. */
export function sendEvents(
  response: ServerResponse,
  kind: 'live' | 'log',
  events: readonly { event: string; data: unknown }[],
): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of events) {
    (kind === 'live' ? liveEvent : logEvent).parse(event);
    response.write(`event: ${event.event}\ndata: ${JSON.stringify(event.data)}\n\n`);
  }
  response.end();
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
