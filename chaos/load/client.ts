/** What a request came to. `unknown`: it may have been carried out or not. */
export type Answer =
  | { readonly kind: 'answered'; readonly status: number; readonly body: unknown }
  | { readonly kind: 'unknown'; readonly why: string };

/** A client that knows several servers and, after a failure, asks another one. */
export interface Client {
  /** One try at the server whose turn it is. Never throws. */
  once(method: 'GET' | 'POST' | 'PUT', path: string, options?: RequestOptions): Promise<Answer>;
  /** Asks until a server answers with 2xx or 4xx. Throws after the deadline. */
  until(
    method: 'GET' | 'PUT' | 'POST',
    path: string,
    options?: RequestOptions & { deadlineMs?: number },
  ): Promise<unknown>;
  /** The text of a path outside of the API from one server. */
  text(server: number, path: string): Promise<string>;
}

export interface RequestOptions {
  readonly body?: unknown;
  readonly key?: string;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 8000;
const PAUSE_MS = 200;

/** @param urls of the servers, without a slash at the end */
export function createClient(urls: readonly string[], token: string): Client {
  let turn = 0;
  const ask = (url: string, init: RequestInit, timeoutMs: number): Promise<Response> =>
    fetch(url, { ...init, signal: AbortSignal.timeout(timeoutMs) });

  const once: Client['once'] = async (method, path, { body, key, timeoutMs = TIMEOUT_MS } = {}) => {
    const url = urls[turn % urls.length] ?? '';
    const headers = {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(key !== undefined && { 'idempotency-key': key }),
    };
    try {
      const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
      const response = await ask(`${url}/api/v1/${path}`, init, timeoutMs);
      const text = await response.text();
      if (response.status >= 500 || response.status === 429) turn++;
      return { kind: 'answered', status: response.status, body: text === '' ? null : (JSON.parse(text) as unknown) };
    } catch (error) {
      turn++;
      return { kind: 'unknown', why: whyOf(error) };
    }
  };

  return {
    once,
    until: async (method, path, { deadlineMs = 60_000, ...options } = {}) => {
      let last = '';
      for (const end = performance.now() + deadlineMs; performance.now() < end;) {
        const answer = await once(method, path, options);
        if (answer.kind === 'answered' && answer.status < 300) return answer.body;
        last = answer.kind === 'unknown' ? answer.why : `${answer.status} ${JSON.stringify(answer.body).slice(0, 500)}`;
        const refused = answer.kind === 'answered' && answer.status < 500 && answer.status !== 429;
        if (refused) throw new Refused(`${method} ${path}: ${last}`, answer.status);
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
      throw new Error(`${method} ${path}: no answer in ${deadlineMs / 1000} s: ${last}`);
    },
    text: async (server, path) => {
      const headers = { authorization: `Bearer ${token}` };
      return (await ask(`${urls[server] ?? ''}${path}`, { headers }, TIMEOUT_MS)).text();
    },
  };
}

/** The server understood and refused. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;
  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

function whyOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : '';
  return `${error.name}: ${error.message}${cause}`;
}
