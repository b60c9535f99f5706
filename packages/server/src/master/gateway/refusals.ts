import { ApiError, makeProblem, PROBLEM_MEDIA_TYPE } from '@keelson/protocol';
import type { Problem } from '@keelson/protocol';
import { StoreError } from '@keelson/store';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { MasterContext } from '../context.ts';

/** Codes of Fastify's own refusals → ours. */
const REFUSALS: Readonly<Record<number, 'malformed-body' | 'body-too-large' | 'unsupported-media-type'>> = {
  400: 'malformed-body',
  413: 'body-too-large',
  415: 'unsupported-media-type',
};
/** What the store refuses → ours. */
const STORE_REFUSALS: Readonly<Record<string, 'hash-mismatch' | 'invalid-request'>> = {
  'hash-mismatch': 'hash-mismatch',
  'invalid-blob-name': 'invalid-request',
};
/** Every worker meets these, and does what they say: they are no complaint. */
const EVERYDAY: readonly string[] = ['draining', 'lease-expired', 'unknown-blob'];
const RETRY_AFTER_S = '1';

/** Answers what went wrong: a refusal is counted, and said once for each caller and code; anything else is an error of ours. */
export function sendProblem(
  context: MasterContext,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const problem = refusalOf(error);
  if (problem !== undefined) {
    noteRefusal(context, request, problem);
    if (problem.status === 429) reply.header('retry-after', RETRY_AFTER_S);
    // What is left of the body is not read: the connection cannot carry another call.
    if (problem.status === 413 || problem.status === 429) reply.header('connection', 'close');
    return reply.code(problem.status).type(PROBLEM_MEDIA_TYPE).send(problem);
  }
  context.log.error({ err: error, errorId: request.id, route: request.routeOptions.url }, 'a worker request failed');
  return reply
    .code(500)
    .type(PROBLEM_MEDIA_TYPE)
    .send(makeProblem('internal', undefined, { errorId: request.id }));
}

function refusalOf(error: unknown): Problem | undefined {
  if (error instanceof ApiError) return error.problem;
  if (error instanceof StoreError) {
    const refused = STORE_REFUSALS[error.code];
    return refused === undefined ? undefined : makeProblem(refused, error.message);
  }
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  const refusal = REFUSALS[status];
  return refusal === undefined ? undefined : makeProblem(refusal, error instanceof Error ? error.message : undefined);
}

function noteRefusal({ metrics, complaints }: MasterContext, request: FastifyRequest, { code, detail }: Problem): void {
  metrics.callsRefused[code] = (metrics.callsRefused[code] ?? 0) + 1;
  if (EVERYDAY.includes(code)) return;
  const worker = request.workerSession?.incarnation;
  const who = worker === undefined ? request.ip : worker.name;
  complaints.complain(who, code, 'a call of a worker was refused', {
    route: request.routeOptions.url,
    reason: detail?.slice(0, 200),
    ...(worker === undefined ? {} : { incarnation: worker.id }),
  });
}
