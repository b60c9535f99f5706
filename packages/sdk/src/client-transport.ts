import { setTimeout as pause } from 'node:timers/promises';
import type { Problem } from '@keelson/protocol';
import { KeelsonApiError, KeelsonConnectionError, connectionError } from './client-errors.ts';

export interface ClientOptions {
  /** Where the API listens, as in `http://127.0.0.1:7400`; a path in front of `/api/v1` is kept. */
  readonly url: string;
  readonly token: string;
  /** For how long a call whose outcome is unknown is tried again under its key. */
  readonly retryForMs?: number;
}

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;
  readonly json?: unknown;
  readonly bytes?: Uint8Array | Blob;
  readonly text?: { readonly body: string; readonly contentType: string };
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Doing it twice is the same as doing it once, so an unknown outcome is tried again. Always so for GET and HEAD. */
  readonly repeatable?: boolean;
}

/** One HTTP exchange, refusals thrown as KeelsonApiError and missing answers as KeelsonConnectionError. */
export type Send = (method: string, path: string, options?: RequestOptions) => Promise<Response>;

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;
const GATEWAY_TROUBLE: readonly number[] = [502, 503, 504];
/** Answers of a server, or of a proxy before it, after which the request may still have been carried out. */
const UNSETTLED_CODES: readonly string[] = ['no-answer', 'database-unavailable', 'not-ready'];

/** Makes the function that every call of a client goes through. Throws a TypeError for a URL that is none. */
export function createTransport({ url, token, retryForMs = 15_000 }: ClientOptions): Send {
  const base = baseUrl(url);
  return async (method, path, options = {}) => {
    const repeatable = options.repeatable ?? (method === 'GET' || method === 'HEAD');
    const giveUpAt = performance.now() + retryForMs;
    let unknown = false;
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LONGEST_PAUSE_MS)) {
      try {
        return await exchange(base, token, method, path, options);
      } catch (error) {
        unknown ||= outcomeUnknown(error);
        // A server that was never reached is reported at once; one that may be restarting under our request is waited for.
        const mayRepeat = repeatable && unknown && (outcomeUnknown(error) || error instanceof KeelsonConnectionError);
        if (!mayRepeat || performance.now() + wait > giveUpAt) throw unknown ? stillUnknown(error) : error;
        await pause(wait, undefined, options.signal && { signal: options.signal });
      }
    }
  };
}

function baseUrl(text: string): URL {
  if (!URL.canParse(text))
    throw new TypeError(`${JSON.stringify(text)} is no URL; one looks like http://127.0.0.1:7400`);
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new TypeError(`the URL of a Keelson begins with http:// or https://, not ${url.protocol}`);
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

function outcomeUnknown(error: unknown): boolean {
  if (error instanceof KeelsonConnectionError) return error.kind === 'interrupted';
  return error instanceof KeelsonApiError && UNSETTLED_CODES.includes(error.code);
}

/** A later refused connection does not make an earlier request unsent. */
function stillUnknown(error: unknown): unknown {
  if (!(error instanceof KeelsonConnectionError) || error.kind === 'interrupted') return error;
  return new KeelsonConnectionError('interrupted', error.message, { cause: error });
}

async function exchange(
  base: URL,
  token: string,
  method: string,
  path: string,
  options: RequestOptions,
): Promise<Response> {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (Array.isArray(value)) for (const one of value) url.searchParams.append(name, String(one));
    else if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const { body, contentType } = requestBody(options);
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(contentType !== undefined && { 'content-type': contentType }),
        ...options.headers,
      },
      // A redirect would carry the token to wherever it points.
      redirect: 'error',
      ...(body !== undefined && { body }),
      ...(options.signal && { signal: options.signal }),
    });
  } catch (error) {
    if (options.signal?.aborted === true) throw error;
    throw connectionError(base.origin, error);
  }
  if (!response.ok) throw await refusal(base, method, response);
  return response;
}

function requestBody({ json, bytes, text }: RequestOptions): {
  body?: string | Uint8Array<ArrayBuffer> | Blob;
  contentType?: string;
} {
  if (json !== undefined) return { body: JSON.stringify(json), contentType: 'application/json' };
  if (bytes !== undefined)
    return { body: bytes instanceof Blob ? bytes : new Uint8Array(bytes), contentType: 'application/octet-stream' };
  if (text !== undefined) return { body: text.body, contentType: text.contentType };
  return {};
}

async function refusal(base: URL, method: string, response: Response): Promise<Error> {
  const problem = parseProblem(await response.text().catch(() => ''));
  if (problem !== undefined) return new KeelsonApiError(problem);
  const { status } = response;
  // An answer to HEAD has no body, so its status is all there is.
  if (method === 'HEAD')
    return new KeelsonApiError({ type: 'about:blank', title: `HTTP ${status}`, status, code: `http-${status}` });
  if (!GATEWAY_TROUBLE.includes(status)) {
    return new KeelsonConnectionError(
      'not-keelson',
      `${base.origin} answered ${status}, and not as a Keelson does; is the URL right?`,
    );
  }
  const detail = `what stands before Keelson at ${base.origin} answered ${status}`;
  return new KeelsonApiError({ type: 'about:blank', title: 'No answer', status, code: 'no-answer', detail });
}

/** Reads a JSON answer; a body that is none comes from something else than a Keelson. */
export async function readJson<Body>(response: Response): Promise<Body> {
  const origin = new URL(response.url).origin;
  let text: string;
  try {
    text = await response.text();
  } catch (error) {
    throw connectionError(origin, error);
  }
  try {
    return JSON.parse(text) as Body;
  } catch (error) {
    throw new KeelsonConnectionError(
      'not-keelson',
      `${origin} answered with something that is not JSON; is the URL right?`,
      { cause: error },
    );
  }
}

function parseProblem(text: string): Problem | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const known =
      'code' in value && typeof value.code === 'string' && 'title' in value && typeof value.title === 'string';
    return known && 'status' in value && typeof value.status === 'number' ? (value as Problem) : undefined;
  } catch {
    return undefined;
  }
}
