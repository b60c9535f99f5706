import { blobRef, ApiError, SPOKEN_PROTOCOLS, WORKER_HEADERS } from '@keelson/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { MasterContext } from '../context.ts';
import type { WorkerSession } from '../sessions.ts';
import { sessionOf } from './authenticate.ts';
import { bytesOf, collect, unlessStalled, upTo } from './body.ts';
import type { GatewayDependencies } from './dependencies.ts';
import { logToken, MOST_LOG_BYTES } from './own-log.ts';
import { parse } from './parse.ts';
import { sendProblem } from './refusals.ts';
import { checkJoinToken } from './register.ts';
import { answerLeave, answerPollCall, answerRegister, answerRenew, answerReportCall } from './talk.ts';

const MEBIBYTE = 1024 * 1024;
/** Outputs are 64 KiB each and ride on reports; logs go by pieces; only blobs are large, and they are streamed. */
const BODY_LIMIT = {
  report: 64 * MEBIBYTE,
  held: 16 * MEBIBYTE,
  log: 2 * MEBIBYTE,
  other: MEBIBYTE,
  blob: 16 * 1024 * MEBIBYTE,
};

/** The worker protocol, to be registered under `/worker/v1`. Every route but `register` takes the incarnation's credential. */
export async function gatewayRoutes(app: FastifyInstance, dependencies: GatewayDependencies): Promise<void> {
  const { context } = dependencies;
  app.setErrorHandler((error, request, reply) => sendProblem(context, error, request, reply));
  app.removeContentTypeParser('application/octet-stream');
  app.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));
  authenticateWorkers(app, dependencies);
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
function authenticateWorkers(app: FastifyInstance, { context, bounds }: GatewayDependencies): void {
  app.decorateRequest('workerSession', null);
  app.decorateRequest('joinToken', null);
  app.addHook('onRequest', async (request, reply) => {
    reply.header(WORKER_HEADERS.protocols, SPOKEN_PROTOCOLS.join(','));
    const wanted = request.routeOptions.config.gateway;
    if (wanted === 'join-token') return void (request.joinToken = await checkJoinToken(context, bearer(request)));
    if (wanted !== 'credential') throw new ApiError('forbidden', 'this route is not open to workers');
    const session = (request.workerSession = await sessionOf(context, bearer(request)));
    refuseLargeBody(request);
    // A renewal is never refused for what else its worker does.
    if (request.routeOptions.url?.endsWith('/renew') === true) return;
    reply.raw.once('close', bounds.admit(session, bytesInMemory(request)));
  });
}

/** By what it says of itself, before it is read; what it does not say is counted while it is. */
function refuseLargeBody({ headers, routeOptions }: FastifyRequest): void {
  const limit = routeOptions.bodyLimit ?? BODY_LIMIT.other;
  if (Number(headers['content-length'] ?? 0) > limit) throw new ApiError('body-too-large', `at most ${limit} bytes`);
}

/** What of its body the call may make this process hold; blobs are streamed. One that does not say its length may be as long as is allowed. */
function bytesInMemory({ headers, routeOptions }: FastifyRequest): number {
  if (routeOptions.bodyLimit === undefined || routeOptions.bodyLimit >= BODY_LIMIT.blob) return 0;
  const said = headers['content-length'];
  return headers['transfer-encoding'] === undefined
    ? Math.min(Number(said ?? 0), routeOptions.bodyLimit)
    : routeOptions.bodyLimit;
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

  app.post('/poll', { config: gateway, bodyLimit: BODY_LIMIT.held }, async (request, reply) => {
    const closed = new AbortController();
    reply.raw.once('close', () => closed.abort());
    return answerPollCall(dependencies, callerOf(request), request.body, closed.signal);
  });

  app.post('/report', { config: gateway, bodyLimit: BODY_LIMIT.report }, async (request) =>
    answerReportCall(dependencies, callerOf(request), request.body, triesOf(request.headers[WORKER_HEADERS.tries])),
  );

  app.post('/renew', { config: gateway, bodyLimit: BODY_LIMIT.held }, async (request, reply) => {
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
    const parts = await logToken(context, session, token);
    if (parts === undefined) throw new ApiError('forbidden', 'the token is not one of this worker');
    const data = await collect(request.body, BODY_LIMIT.log);
    if (offset + data.length > MOST_LOG_BYTES)
      throw new ApiError('body-too-large', `the log of one attempt may have ${MOST_LOG_BYTES} bytes`);
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

  app.put('/blobs/:sha256', { config: gateway, bodyLimit: BODY_LIMIT.blob }, async (request, reply) => {
    const { sha256 } = parse(blobParams, request.params);
    const content = unlessStalled(bytesOf(request.body), (error) => request.raw.destroy(error));
    await store.blobs.put(sha256, upTo(content, BODY_LIMIT.blob));
    return reply.code(204).send();
  });
}
