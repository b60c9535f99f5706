import {
  blobRef,
  ApiError,
  makeProblem,
  PROBLEM_MEDIA_TYPE,
  SPOKEN_PROTOCOLS,
  WORKER_HEADERS,
} from '@keelson/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { MasterContext } from '../context.ts';
import type { WorkerSession } from '../sessions.ts';
import { parseToken } from '../token.ts';
import { sessionOf } from './authenticate.ts';
import type { GatewayDependencies } from './dependencies.ts';
import { parse } from './parse.ts';
import { checkJoinToken } from './register.ts';
import { answerLeave, answerPollCall, answerRegister, answerRenew, answerReportCall } from './talk.ts';

const MEBIBYTE = 1024 * 1024;
/** Outputs are 64 KiB each and ride on reports; logs go by pieces; only blobs are large, and they are streamed. */
const BODY_LIMIT = { report: 64 * MEBIBYTE, log: 2 * MEBIBYTE, other: MEBIBYTE };

/** The worker protocol, to be registered under `/worker/v1`. Every route but `register` takes the incarnation's credential. */
export async function gatewayRoutes(app: FastifyInstance, dependencies: GatewayDependencies): Promise<void> {
  const { context } = dependencies;
  app.setErrorHandler((error, request, reply) => sendProblem(context, error, request, reply));
  app.removeContentTypeParser('application/octet-stream');
  app.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));
  authenticateWorkers(app, context);
  talkRoutes(app, dependencies);
  byteRoutes(app, context);
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call: the holder of a join token, or an incarnation with its credential. */
    gateway?: 'join-token' | 'credential';
  }
  interface FastifyRequest {
    workerSession: WorkerSession | null;
    /** Id of the token that a worker wants to join with. */
    joinToken: string | null;
  }
}

const gateway = { gateway: 'credential' } as const;

/** Before anything of the body is read. A route that does not say who may call it answers nobody. */
function authenticateWorkers(app: FastifyInstance, context: MasterContext): void {
  app.decorateRequest('workerSession', null);
  app.decorateRequest('joinToken', null);
  app.addHook('onRequest', async (request, reply) => {
    reply.header(WORKER_HEADERS.protocols, SPOKEN_PROTOCOLS.join(','));
    const wanted = request.routeOptions.config.gateway;
    if (wanted === 'join-token') return void (request.joinToken = await checkJoinToken(context, bearer(request)));
    if (wanted !== 'credential') throw new ApiError('forbidden', 'this route is not open to workers');
    request.workerSession = await sessionOf(context, bearer(request));
  });
}

function bearer(request: FastifyRequest): string {
  const header = request.headers.authorization ?? '';
  return header.startsWith('Bearer ') ? header.slice('Bearer '.length) : '';
}

function callerOf(request: FastifyRequest): WorkerSession {
  if (request.workerSession === null)
    throw new ApiError('forbidden', 'this route needs the credential of a worker incarnation');
  return request.workerSession;
}

/** JSON calls: see talk.ts for what they do. */
function talkRoutes(app: FastifyInstance, dependencies: GatewayDependencies): void {
  const { context } = dependencies;
  app.post('/register', { config: { gateway: 'join-token' } }, async (request, reply) => {
    tellServers(context, reply);
    return answerRegister(dependencies, request.body, request.joinToken ?? undefined);
  });

  app.post('/poll', { config: gateway, bodyLimit: BODY_LIMIT.report }, async (request, reply) => {
    const closed = new AbortController();
    reply.raw.once('close', () => closed.abort());
    return answerPollCall(dependencies, callerOf(request), request.body, closed.signal);
  });

  app.post('/report', { config: gateway, bodyLimit: BODY_LIMIT.report }, async (request) =>
    answerReportCall(dependencies, callerOf(request), request.body, triesOf(request.headers[WORKER_HEADERS.tries])),
  );

  app.post('/renew', { config: gateway, bodyLimit: BODY_LIMIT.report }, async (request, reply) => {
    const session = callerOf(request);
    noteLoad(session, request.headers[WORKER_HEADERS.load]);
    tellServers(context, reply);
    if (session.superseded) reply.header(WORKER_HEADERS.superseded, '1');
    return answerRenew(dependencies, session, request.body);
  });

  app.post('/leave', { config: gateway }, async (request, reply) => {
    await answerLeave(dependencies, callerOf(request));
    return reply.code(204).send();
  });
}

function tellServers({ gateways }: MasterContext, reply: FastifyReply): void {
  if (gateways.length > 0) reply.header(WORKER_HEADERS.servers, gateways.join(','));
}

/** What is no number was never tried. */
function triesOf(said: string | string[] | undefined): number {
  const tries = Number(said ?? 0);
  return Number.isSafeInteger(tries) && tries > 0 ? tries : 0;
}

/** For people to see: what is no number is nothing. */
function noteLoad(session: WorkerSession, said: unknown): void {
  if (typeof said === 'string' && /^\d{1,6}(\.\d{1,3})?$/.test(said)) session.load = Number(said);
}

const logQuery = z.object({ token: z.string(), offset: z.coerce.number().int().min(0) });
const blobParams = z.object({ sha256: blobRef.shape.sha256 });

function byteRoutes(app: FastifyInstance, context: MasterContext): void {
  const { store } = context;
  app.post('/log', { config: gateway, bodyLimit: BODY_LIMIT.log }, async (request, reply) => {
    const session = callerOf(request);
    const { token, offset } = parse(logQuery, request.query);
    const parts = parseToken(token);
    if (parts?.incarnationId !== session.incarnation.id)
      throw new ApiError('forbidden', 'the token is not one of this worker');
    const data = await collect(request.body, BODY_LIMIT.log);
    if (data.length > 0)
      await store.logs.append({ instanceId: parts.instanceId, attemptId: parts.attemptId, start: offset, data });
    return reply.code(204).send();
  });

  app.get('/blobs/:sha256', { config: gateway }, async (request, reply) => {
    const { sha256 } = parse(blobParams, request.params);
    const content = await store.blobs.get(sha256);
    if (content === undefined) throw new ApiError('unknown-blob', `there is no blob ${sha256}`);
    return reply.type('application/octet-stream').send(content);
  });

  app.put('/blobs/:sha256', { config: gateway, bodyLimit: Number.MAX_SAFE_INTEGER }, async (request, reply) => {
    const { sha256 } = parse(blobParams, request.params);
    await store.blobs.put(sha256, bytesOf(request.body));
    return reply.code(204).send();
  });
}

function bytesOf(body: unknown): AsyncIterable<Uint8Array> {
  if (typeof body === 'object' && body !== null && Symbol.asyncIterator in body)
    return body as AsyncIterable<Uint8Array>;
  throw new ApiError('unsupported-media-type', 'send application/octet-stream');
}

async function collect(body: unknown, limit: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bytesOf(body)) {
    size += chunk.length;
    if (size > limit) throw new ApiError('body-too-large', `at most ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Codes of Fastify's own refusals → ours. */
const REFUSALS: Readonly<Record<number, 'malformed-body' | 'body-too-large' | 'unsupported-media-type'>> = {
  400: 'malformed-body',
  413: 'body-too-large',
  415: 'unsupported-media-type',
};

function sendProblem(
  context: MasterContext,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  if (error instanceof ApiError) return reply.code(error.status).type(PROBLEM_MEDIA_TYPE).send(error.problem);
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  const refusal = REFUSALS[status];
  if (refusal !== undefined)
    return reply
      .code(status)
      .type(PROBLEM_MEDIA_TYPE)
      .send(makeProblem(refusal, error instanceof Error ? error.message : undefined));
  context.log.error({ err: error, errorId: request.id, route: request.routeOptions.url }, 'a worker request failed');
  return reply
    .code(500)
    .type(PROBLEM_MEDIA_TYPE)
    .send(makeProblem('internal', undefined, { errorId: request.id }));
}
