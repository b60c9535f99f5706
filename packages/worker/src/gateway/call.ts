import type { Readable } from 'node:stream';
import { WORKER_HEADERS } from '@keelson/protocol';
import type { Dispatcher } from 'undici';
import type { z } from 'zod';
import type { Clock } from '@keelson/core';
import type { Server, Servers } from './servers.ts';

/** What became of a call. `refused`: repeating it as it is makes no sense. `failed`: it does, at another server perhaps. */
export type Outcome<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'refused'; readonly status: number; readonly code: string; readonly message: string }
  | { readonly kind: 'failed'; readonly message: string };

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Below the protocol's root. */
  readonly path: string;
  readonly connection: 'calls' | 'renewals' | 'bulk';
  readonly bearer: string;
  readonly body?: string | Uint8Array | Readable;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** True: it waits for news, and ends when calls go to another server, for the news come there. */
  readonly waits?: boolean;
  /** Shown the headers of whatever answer comes. */
  readonly onAnswer?: (headers: Dispatcher.ResponseData['headers']) => void;
}

const MAX_PROBLEM_BYTES = 64 * 1024;

/** Makes one call to the current server and hands the response of a 2xx to `read`. Never throws. */
export async function makeCall<T>(
  servers: Servers,
  clock: Clock,
  call: Call,
  read: (response: Dispatcher.ResponseData) => Promise<T>,
): Promise<Outcome<T>> {
  const server = servers.current();
  const gone = server.gone();
  const left = call.waits === true ? server.left() : undefined;
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  const cancelTimeout = clock.after(call.timeoutMs, abort);
  call.signal?.addEventListener('abort', abort);
  gone.addEventListener('abort', abort);
  left?.addEventListener('abort', abort);
  try {
    if (call.signal?.aborted === true) return { kind: 'failed', message: 'given up' };
    const response = await server[call.connection].request({
      method: call.method,
      path: server.path + call.path,
      headers: { authorization: `Bearer ${call.bearer}`, ...call.headers },
      body: call.body ?? null,
      signal: controller.signal,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    learnServers(servers, response);
    call.onAnswer?.(response.headers);
    if (response.statusCode >= 200 && response.statusCode < 300) return { kind: 'ok', value: await read(response) };
    return await problemOutcome(servers, server, response);
  } catch (error) {
    if (call.signal?.aborted === true) return { kind: 'failed', message: 'given up' };
    if (gone.aborted) return { kind: 'failed', message: `${server.name}: given up, another call to it got no answer` };
    if (left?.aborted === true) return { kind: 'failed', message: `${server.name}: left for another server` };
    const why = controller.signal.aborted ? `no answer within ${call.timeoutMs} ms` : errorText(error);
    servers.failed(server, 'gone');
    return { kind: 'failed', message: `${server.name}: ${why}` };
  } finally {
    cancelTimeout();
    call.signal?.removeEventListener('abort', abort);
    gone.removeEventListener('abort', abort);
    left?.removeEventListener('abort', abort);
  }
}

/** A POST of JSON that answers JSON of the given schema. An answer that does not fit it counts as a failed call. */
export function postJson<T>(
  servers: Servers,
  clock: Clock,
  schema: z.ZodType<T>,
  call: Omit<Call, 'method'>,
): Promise<Outcome<T>> {
  return makeCall(
    servers,
    clock,
    { ...call, method: 'POST', headers: { 'content-type': 'application/json', ...call.headers } },
    async (response) => {
      const parsed = schema.safeParse(await response.body.json());
      if (parsed.success) return parsed.data;
      const issue = parsed.error.issues[0];
      throw new Error(
        `the answer to ${call.path} does not fit the protocol: ${issue?.path.join('.')}: ${issue?.message}`,
      );
    },
  );
}

function learnServers(servers: Servers, { headers }: Dispatcher.ResponseData): void {
  const named = headers[WORKER_HEADERS.servers];
  if (typeof named === 'string') servers.learn(named.split(','));
}

async function problemOutcome(
  servers: Servers,
  server: Server,
  response: Dispatcher.ResponseData,
): Promise<Outcome<never>> {
  const text = await boundedText(response.body);
  const problem = parseProblem(text);
  const message = `${response.statusCode} ${problem.code} ${problem.message}`.trim();
  const { statusCode } = response;
  const isRefusal = statusCode >= 400 && statusCode < 500 && statusCode !== 408 && statusCode !== 429;
  if (isRefusal) return { kind: 'refused', status: statusCode, code: problem.code, message };
  servers.failed(server, 'refusing');
  return { kind: 'failed', message: `${server.name}: ${message}` };
}

async function boundedText(body: Readable): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > MAX_PROBLEM_BYTES) break;
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

function parseProblem(text: string): { readonly code: string; readonly message: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { code: '', message: '' };
  }
  if (typeof value !== 'object' || value === null) return { code: '', message: '' };
  const part = (name: string): string => {
    const found: unknown = Reflect.get(value, name);
    return typeof found === 'string' ? found.slice(0, 1000) : '';
  };
  return { code: part('code'), message: part('detail') || part('title') };
}

function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return error.message === '' ? code || error.name : error.message;
}
