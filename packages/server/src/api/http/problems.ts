import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import { ApiError, makeProblem, PROBLEM_MEDIA_TYPE, PROBLEMS } from '@keelson/protocol';
import type { FieldError, Problem, ProblemCode } from '@keelson/protocol';
import { outcomeOf, StoreError } from '@keelson/store';

/** The error handler: every refusal is a problem+json with a stable code, and nothing of the inside shows in it. */
export function answerProblems(log: Logger) {
  return async (error: unknown, request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const problem = problemOf(error, request) ?? unexpected(error, request, log);
    // What is left of a body that was refused is not worth reading.
    if (problem.status === 413) reply.header('connection', 'close');
    await sendProblem(reply, problem);
  };
}

const sent = new WeakMap<FastifyReply, ProblemCode>();

/** The code of the problem that was answered; undefined for an answer that is none. */
export const codeSent = (reply: FastifyReply): ProblemCode | undefined => sent.get(reply);

export async function sendProblem(reply: FastifyReply, problem: Problem): Promise<void> {
  if (isProblemCode(problem.code)) sent.set(reply, problem.code);
  // As text, so that no response schema of the route stands between.
  await reply.code(problem.status).type(PROBLEM_MEDIA_TYPE).serializer(String).send(JSON.stringify(problem));
}

/** For Fastify's option `frameworkErrors`: what it refuses before any route is looked for, such as a malformed URL. */
export function answerFrameworkError(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  const code = error.code === 'FST_ERR_BAD_URL' ? 'malformed-request' : 'unknown-route';
  void sendProblem(reply, makeProblem(code, error.message.slice(0, 200)));
}

/** For Fastify's option `clientErrorHandler`: octets that are no HTTP request, or one whose headers are too long. */
export function answerClientError(error: ClientError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const problem =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? makeProblem('headers-too-large', 'the headers of the request are too long together')
      : makeProblem('malformed-request', 'this is no HTTP request that the server understands');
  const body = JSON.stringify(problem);
  const lines = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? 'Bad Request'}`,
    `content-type: ${PROBLEM_MEDIA_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

type ClientError = Error & { readonly code?: string };

export async function answerUnknownRoute(request: FastifyRequest): Promise<never> {
  throw new ApiError('unknown-route', `${request.method} ${pathOf(request)} is no route of this server`);
}

/** Without the query, which may carry what belongs in no log. */
export function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}

function problemOf(error: unknown, request: FastifyRequest): Problem | undefined {
  if (error instanceof ApiError) return error.problem;
  if (error instanceof StoreError) return storeProblem(error);
  if (hasZodFastifySchemaValidationErrors(error)) {
    const errors = error.validation.map((issue) => fieldError(error.validationContext ?? 'body', issue));
    return makeProblem('invalid-request', errors.map(({ path, message }) => `${path}: ${message}`).join('; '), {
      errors,
    });
  }
  if (isFastifyError(error)) return frameworkProblem(error, request);
  if (outcomeOf(error) !== 'application')
    return makeProblem(
      'database-unavailable',
      'the database did not answer; whether the request took effect is not known',
    );
  return undefined;
}

const KIND_CODES = {
  'not-found': 'not-found',
  conflict: 'conflict',
  invalid: 'invalid-request',
  unavailable: 'unavailable',
} as const;

function storeProblem({ code, kind, message, missing }: StoreError): Problem {
  return makeProblem(
    isProblemCode(code) ? code : KIND_CODES[kind],
    message,
    missing.length > 0 ? { missing: [...missing] } : {},
  );
}

function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(PROBLEMS, code);
}

function fieldError(
  context: string,
  issue: { instancePath: string; keyword: string; message?: string | undefined },
): FieldError {
  const part = context === 'querystring' ? 'query' : context;
  const path = [part, ...issue.instancePath.split('/').filter((step) => step !== '')].join('.');
  return { path, code: issue.keyword.replaceAll('_', '-'), message: issue.message ?? 'does not fit the schema' };
}

function isFastifyError(error: unknown): error is FastifyError {
  return (
    error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' && error.statusCode < 500
  );
}

const FRAMEWORK_CODES: Readonly<Record<number, ProblemCode>> = {
  413: 'body-too-large',
  415: 'unsupported-media-type',
  404: 'unknown-route',
};

function frameworkProblem(error: FastifyError, { routeOptions }: FastifyRequest): Problem {
  const named = FRAMEWORK_CODES[error.statusCode ?? 400];
  if (named === 'body-too-large')
    return makeProblem(named, `the body of this request is longer than ${routeOptions.bodyLimit} bytes`);
  if (named === 'unsupported-media-type') {
    const types = routeOptions.schema?.consumes ?? ['application/json'];
    return makeProblem(named, `this route takes ${types.join(', ')}`);
  }
  if (named !== undefined) return makeProblem(named, error.message);
  const ofBody = error instanceof SyntaxError || error.code.startsWith('FST_ERR_CTP');
  return makeProblem(ofBody ? 'malformed-body' : 'malformed-request', error.message);
}

function unexpected(error: unknown, request: FastifyRequest, log: Logger): Problem {
  const errorId = randomUUID();
  log.error({ err: error, errorId, method: request.method, path: pathOf(request) }, 'a request failed inside');
  return makeProblem('internal', `the server log has the cause under ${errorId}`, { errorId });
}
