import {
  blobRef,
  ApiError,
  makeProblem,
  pollRequest,
  PROBLEM_MEDIA_TYPE,
  registerRequest,
  renewRequest,
  reportRequest,
} from '@keelson/protocol';
import type { RenewRequest } from '@keelson/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { MasterContext } from '../context.ts';
import { takeKills } from '../sessions.ts';
import type { WorkerSession } from '../sessions.ts';
import { parseToken } from '../token.ts';
import { bearer, sessionOf } from './authenticate.ts';
import { answerPoll } from './poll.ts';
import { compareHeld, reconcile } from './reconcile.ts';
import { checkJoinToken, register } from './register.ts';
import { answerReports } from './report.ts';
import { storableText } from './storable.ts';
import type { GatewayDependencies } from './dependencies.ts';

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
  }
}

const gateway = { gateway: 'credential' } as const;

/** Before anything of the body is read. A route that does not say who may call it answers nobody. */
function authenticateWorkers(app: FastifyInstance, context: MasterContext): void {
  app.decorateRequest('workerSession', null);
  app.addHook('onRequest', async (request) => {
    const wanted = request.routeOptions.config.gateway;
    if (wanted === 'join-token') return checkJoinToken(context, bearer(request));
    if (wanted !== 'credential') throw new ApiError('forbidden', 'this route is not open to workers');
    request.workerSession = await sessionOf(context, request);
  });
}

function callerOf(request: FastifyRequest): WorkerSession {
  if (request.workerSession === null)
    throw new ApiError('forbidden', 'this route needs the credential of a worker incarnation');
  return request.workerSession;
}

function talkRoutes(app: FastifyInstance, { context, reports, started, renewals }: GatewayDependencies): void {
  app.post('/register', { config: { gateway: 'join-token' } }, async (request) =>
    register(context, parse(registerRequest, request.body)),
  );

  app.post('/poll', { config: gateway, bodyLimit: BODY_LIMIT.report }, async (request, reply) => {
    const session = callerOf(request);
    const body = parse(pollRequest, request.body);
    if (session.stale) await reconcile(context, session);
    if (!context.line.isAllEmpty()) context.wake.claims();
    const closed = new AbortController();
    reply.raw.once('close', () => closed.abort());
    return answerPoll(session, context.closing() ? { ...body, waitMs: 0 } : body, closed.signal);
  });

  app.post('/report', { config: gateway, bodyLimit: BODY_LIMIT.report }, async (request) => {
    const session = callerOf(request);
    return answerReports(context, reports, started, session, parse(reportRequest, request.body));
  });

  app.post('/renew', { config: gateway, bodyLimit: BODY_LIMIT.report }, async (request) => {
    const session = callerOf(request);
    const { held, progress } = parse(renewRequest, request.body);
    const asked = performance.now();
    const leaseMs = await renewals.renew(session.incarnation.id);
    if (leaseMs === undefined) {
      context.sessions.remove(session.incarnation.id);
      throw new ApiError('lease-expired', 'the lease ran out before this renewal came');
    }
    session.leaseUntil = asked + leaseMs;
    // Nothing else may hold up a renewal, or fail it.
    void noteProgress(context, session, progress ?? []);
    void compare(context, session, held);
    return { leaseMs, kill: takeKills(session) };
  });

  app.post('/leave', { config: gateway }, async (request, reply) => {
    const { incarnation } = callerOf(request);
    await context.store.workers.leave(incarnation.id);
    context.sessions.remove(incarnation.id);
    context.signals.send('command');
    context.log.info({ worker: incarnation.name, incarnation: incarnation.id }, 'a worker left');
    return reply.code(204).send();
  });
}

async function compare(context: MasterContext, session: WorkerSession, held: readonly string[]): Promise<void> {
  try {
    await compareHeld(context, session, held);
  } catch (error) {
    context.log.warn({ err: error, worker: session.incarnation.name }, 'what a worker holds could not be compared');
  }
}

/** What a processor says of its progress is for people to see: it never costs a worker its lease. */
async function noteProgress(
  { store, log }: MasterContext,
  session: WorkerSession,
  said: NonNullable<RenewRequest['progress']>,
): Promise<void> {
  const notes = said.flatMap(({ token, fraction, message }) => {
    const parts = parseToken(token);
    if (parts?.incarnationId !== session.incarnation.id) return [];
    return [{ ...parts, fraction, ...(message === undefined ? {} : { message: storableText(message) }) }];
  });
  if (notes.length === 0) return;
  await store.workers
    .noteProgress(notes)
    .catch((error: unknown) =>
      log.warn({ err: error, worker: session.incarnation.name }, 'progress could not be noted'),
    );
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

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = safely(() => schema.safeParse(value));
  if (result.success) return result.data;
  const errors = result.error.issues.map(({ path, code, message }) => ({
    path: path.join('.'),
    code: code.replaceAll('_', '-'),
    message,
  }));
  const detail = errors.map(({ path, message }) => `${path}: ${message}`).join('; ');
  throw new ApiError('invalid-request', detail.slice(0, 1000), { errors: errors.slice(0, 100) });
}

/** A value nested without end exhausts the stack of whoever walks it. */
function safely<T>(walk: () => T): T {
  try {
    return walk();
  } catch (error) {
    if (error instanceof RangeError) throw new ApiError('invalid-request', 'the body is nested too deeply');
    throw error;
  }
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
