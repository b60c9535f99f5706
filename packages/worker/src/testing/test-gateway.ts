import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  assignment as assignmentSchema, pollRequest, registerRequest, renewRequest, reportRequest,
  type Assignment, type BlobRef, type EndedReport, type KillOrder, type PollRequest, type RegisterRequest, type RenewRequest, type Report,
} from '@keelson/protocol';

/** What a script does with a request: an error answer, or a cut before or after it was carried out. */
export type Fault = { readonly status: number; readonly code?: string } | 'cut-before' | 'cut-after' | 'hang';

/** A gateway for tests: real HTTP, the protocol's own schemas, and no engine behind it. */
export interface TestGateway {
  readonly url: string;
  readonly joinToken: string;
  readonly registrations: RegisterRequest[];
  readonly renewals: RenewRequest[];
  readonly polls: PollRequest[];
  /** Every report that was carried out, also one that came twice. */
  readonly reports: Report[];
  readonly blobs: Map<string, Buffer>;
  readonly leftCount: number;
  /** Violations of the protocol by the worker; must be empty at the end. */
  readonly violations: string[];
  leaseMs: number;
  renewEveryMs: number;
  /** Decides over each request; undefined carries it out. */
  fault: (route: string, body: Buffer) => Fault | undefined;
  /** Gives assignments to the next poll. */
  assign(...assignments: readonly Assignment[]): void;
  /** Puts assignments on the answer of the next report. */
  assignWithReport(...assignments: readonly Assignment[]): void;
  kill(token: string, reason: KillOrder['reason']): void;
  /** Every credential given out so far is void from now on. */
  expire(code: 'lease-expired' | 'unknown-incarnation'): void;
  endOf(token: string): EndedReport | undefined;
  /** The log as stored: by offset, with what rode on the end report. */
  logOf(token: string): string;
  addBlob(path: string, content: string | Buffer, mode?: number): BlobRef;
  close(): Promise<void>;
}

let tokens = 0;

/** An assignment with everything a test does not care about filled in. */
export function makeAssignment(part: Partial<Assignment>): Assignment {
  tokens += 1;
  return assignmentSchema.parse({
    token: `token-${process.pid}-${tokens}`, fencingToken: String(tokens), instanceId: `instance-${tokens}`, workflow: 'w', project: 'p', version: 1,
    task: 't', generation: 1, attempt: 1, runTime: '2026-01-02T03:04:05+08:00', uses: 'shell', input: {}, env: {}, secrets: [], files: [], inputs: [], ...part,
  });
}

export async function startTestGateway(): Promise<TestGateway> {
  const chunks = new Map<string, Map<number, Buffer>>();
  const valid = new Map<string, string | undefined>();
  const settled = new Map<string, EndedReport>();
  const orders: KillOrder[] = [];
  let forPoll: Assignment[] = [];
  let forReport: Assignment[] = [];
  let wakePoll: (() => void) | undefined;
  let left = 0;

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      gateway.violations.push(String(error));
      response.writeHead(500).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://gateway');
    const body = Buffer.concat(await request.toArray());
    const route = url.pathname.replace('/worker/v1/', '').replace(/\/.*/, '');
    const fault = gateway.fault(route, body);
    if (fault === 'cut-before') return void request.socket.destroy();
    if (fault === 'hang') return;
    if (typeof fault === 'object') return problem(response, fault.status, fault.code ?? 'scripted');
    const bearer = request.headers.authorization?.replace('Bearer ', '') ?? '';
    if (route !== 'register') {
      if (!valid.has(bearer)) return problem(response, 401, 'unauthenticated');
      const code = valid.get(bearer);
      if (code !== undefined) return problem(response, 409, code);
    }
    const answer = await carryOut(route, url, request, body, bearer);
    if (fault === 'cut-after') return void request.socket.destroy();
    if (answer === undefined) response.writeHead(204).end();
    else if (Buffer.isBuffer(answer)) response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(answer);
    else if ('status' in answer && typeof answer.status === 'number') problem(response, answer.status, 'refused');
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  async function carryOut(route: string, url: URL, request: IncomingMessage, body: Buffer, bearer: string): Promise<Buffer | object | undefined> {
    const json = (): unknown => JSON.parse(body.toString());
    switch (route) {
      case 'register': return register(bearer, registerRequest.parse(json()));
      case 'poll': return poll(pollRequest.parse(json()), request);
      case 'report': return report(reportRequest.parse(json()).reports);
      case 'renew':
        gateway.renewals.push(renewRequest.parse(json()));
        return { leaseMs: gateway.leaseMs, kill: orders.splice(0) };
      case 'log': return keepLog(url.searchParams.get('token') ?? '', Number(url.searchParams.get('offset')), body);
      case 'blobs': return blob(request.method ?? '', url.pathname.split('/').at(-1) ?? '', body);
      case 'leave':
        left += 1;
        return undefined;
      default:
        throw new Error(`no such route: ${route}`);
    }
  }

  function register(bearer: string, request: RegisterRequest): object {
    if (bearer !== gateway.joinToken) return { status: 401 };
    gateway.registrations.push(request);
    const credential = `credential-${gateway.registrations.length}`;
    valid.set(credential, undefined);
    return { incarnation: `incarnation-${gateway.registrations.length}`, credential, leaseMs: gateway.leaseMs, renewEveryMs: gateway.renewEveryMs };
  }

  async function poll(request: PollRequest, http: IncomingMessage): Promise<object> {
    gateway.polls.push(request);
    if (forPoll.length === 0 && orders.length === 0) {
      await new Promise<void>((resolve) => {
        const over = (): void => {
          http.socket.off('close', over);
          resolve();
        };
        wakePoll = over;
        setTimeout(over, request.waitMs).unref();
        http.socket.once('close', over);
      });
    }
    if (http.socket.destroyed) return {};
    const assignments = request.draining ? [] : forPoll;
    if (!request.draining) forPoll = [];
    return { assignments, kill: orders.splice(0) };
  }

  function report(reports: readonly Report[]): object {
    for (const item of reports) {
      gateway.reports.push(item);
      if (item.kind === 'ended' && !settled.has(item.token)) {
        settled.set(item.token, item);
        if (item.log !== undefined) keepLog(item.token, item.log.offset, Buffer.from(item.log.data, 'base64'));
      }
    }
    const assignments = forReport;
    forReport = [];
    return { acknowledged: reports.map(({ token }) => token), assignments };
  }

  function keepLog(token: string, offset: number, data: Buffer): undefined {
    const parts = chunks.get(token) ?? new Map<number, Buffer>();
    chunks.set(token, parts);
    if (!parts.has(offset)) parts.set(offset, data);
  }

  function blob(method: string, sha256: string, body: Buffer): Buffer | object | undefined {
    if (method === 'GET') return gateway.blobs.get(sha256) ?? { status: 404 };
    if (createHash('sha256').update(body).digest('hex') !== sha256) return { status: 422 };
    gateway.blobs.set(sha256, body);
    return undefined;
  }

  const gateway: TestGateway = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    joinToken: 'join-token',
    registrations: [], renewals: [], polls: [], reports: [], blobs: new Map(), violations: [],
    get leftCount() {
      return left;
    },
    leaseMs: 10_000,
    renewEveryMs: 200,
    fault: () => undefined,
    assign(...assignments) {
      forPoll.push(...assignments);
      wakePoll?.();
    },
    assignWithReport: (...assignments) => void forReport.push(...assignments),
    kill(token, reason) {
      orders.push({ token, reason });
      wakePoll?.();
    },
    expire(code) {
      for (const credential of valid.keys()) valid.set(credential, code);
    },
    endOf: (token) => settled.get(token),
    logOf(token) {
      return [...(chunks.get(token) ?? [])].sort(([a], [b]) => a - b).map(([, data]) => data.toString()).join('');
    },
    addBlob(path, content, mode = 0o644) {
      const bytes = Buffer.from(content);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      gateway.blobs.set(sha256, bytes);
      return { path, sha256, size: bytes.length, mode };
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return gateway;
}

function problem(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ type: 'about:blank', title: code, status, code }));
}
