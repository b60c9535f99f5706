import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  assignment as assignmentSchema,
  pollRequest,
  registerRequest,
  renewRequest,
  reportRequest,
  type Assignment,
  type BlobRef,
  type EndedReport,
  type KillOrder,
  type PollRequest,
  type RegisterRequest,
  type RenewRequest,
  type Report,
} from '@keelson/protocol';

/** What a script does with a request: an error answer, a cut before or after it was carried out, or silence. */
export type Fault = { readonly status: number; readonly code?: string } | 'cut-before' | 'cut-after' | 'hang';

type Answer = { readonly refused: number } | { readonly json: object } | { readonly octets: Buffer } | 'done';

let made = 0;

/** An assignment with everything a test does not care about filled in. */
export function makeAssignment(part: Partial<Assignment>): Assignment {
  made += 1;
  const rest = {
    token: `token-${process.pid}-${made}`,
    fencingToken: String(made),
    instanceId: `instance-${made}`,
    workflow: 'w',
    project: 'p',
    version: 1,
    task: 't',
    generation: 1,
    attempt: 1,
    runTime: '2026-01-02T03:04:05+08:00',
    uses: 'shell',
    input: {},
    env: {},
    secrets: [],
    files: [],
    inputs: [],
  };
  return assignmentSchema.parse({ ...rest, ...part });
}

export async function startTestGateway(): Promise<TestGateway> {
  const gateway = new TestGateway();
  await gateway.listen();
  return gateway;
}

/** A gateway for tests: real HTTP, the protocol's own schemas, and no engine behind it. */
export class TestGateway {
  readonly joinToken = 'join-token';
  readonly registrations: RegisterRequest[] = [];
  readonly renewals: RenewRequest[] = [];
  readonly polls: PollRequest[] = [];
  /** Every report that was carried out, also one that came twice. */
  readonly reports: Report[] = [];
  readonly blobs = new Map<string, Buffer>();
  /** Violations of the protocol by the worker; must be empty at the end. */
  readonly violations: string[] = [];
  leaseMs = 10_000;
  renewEveryMs = 200;
  leftCount = 0;
  readonly #server: Server;
  readonly #chunks = new Map<string, Map<number, Buffer>>();
  /** Credentials, with the code that they are refused with. */
  readonly #credentials = new Map<string, string | undefined>();
  readonly #settled = new Map<string, EndedReport>();
  readonly #orders: KillOrder[] = [];
  #forPoll: Assignment[] = [];
  #forReport: Assignment[] = [];
  #wakePoll: (() => void) | undefined;

  constructor() {
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        this.violations.push(String(error));
        response.writeHead(500).end();
      });
    });
  }

  /** Decides over each request; undefined carries it out. */
  fault: (route: string, body: Buffer) => Fault | undefined = () => undefined;

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Gives assignments to the next poll. */
  assign(...assignments: readonly Assignment[]): void {
    this.#forPoll.push(...assignments);
    this.#wakePoll?.();
  }

  /** Puts assignments on the answer of the next report. */
  assignWithReport(...assignments: readonly Assignment[]): void {
    this.#forReport.push(...assignments);
  }

  kill(token: string, reason: KillOrder['reason']): void {
    this.#orders.push({ token, reason });
    this.#wakePoll?.();
  }

  /** Every credential given out so far is void from now on. */
  expire(code: 'lease-expired' | 'unknown-incarnation'): void {
    for (const credential of this.#credentials.keys()) this.#credentials.set(credential, code);
  }

  endOf(token: string): EndedReport | undefined {
    return this.#settled.get(token);
  }

  /** The log as stored: by offset, with what rode on the end report. */
  logOf(token: string): string {
    const chunks = [...(this.#chunks.get(token) ?? [])].toSorted(([a], [b]) => a - b);
    return chunks.map(([, data]) => data.toString()).join('');
  }

  addBlob(path: string, content: string, mode = 0o644): BlobRef {
    const bytes = Buffer.from(content);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    this.blobs.set(sha256, bytes);
    return { path, sha256, size: bytes.length, mode };
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://gateway');
    const body = Buffer.concat(await request.toArray());
    const route = url.pathname.replace('/worker/v1/', '').replace(/\/.*/, '');
    const fault = this.fault(route, body);
    if (fault === 'cut-before') return void request.socket.destroy();
    if (fault === 'hang') return;
    if (typeof fault === 'object') return problem(response, fault.status, fault.code ?? 'scripted');
    const bearer = request.headers.authorization?.replace('Bearer ', '') ?? '';
    if (route !== 'register' && !this.#credentials.has(bearer)) return problem(response, 401, 'unauthenticated');
    const refusal = this.#credentials.get(bearer);
    if (refusal !== undefined) return problem(response, 409, refusal);
    const answer = await this.#carryOut(route, url, request, body, bearer);
    if (fault === 'cut-after') request.socket.destroy();
    else if (answer === 'done') response.writeHead(204).end();
    else if ('refused' in answer) problem(response, answer.refused, 'refused');
    else if ('octets' in answer)
      response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(answer.octets);
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer.json));
  }

  async #carryOut(route: string, url: URL, request: IncomingMessage, body: Buffer, bearer: string): Promise<Answer> {
    const json = (): unknown => JSON.parse(body.toString());
    switch (route) {
      case 'register':
        return this.#register(bearer, registerRequest.parse(json()));
      case 'poll':
        return this.#poll(pollRequest.parse(json()), request);
      case 'report':
        return this.#report(reportRequest.parse(json()).reports);
      case 'renew':
        this.renewals.push(renewRequest.parse(json()));
        return { json: { leaseMs: this.leaseMs, kill: this.#orders.splice(0) } };
      case 'log':
        this.#keepLog(url.searchParams.get('token') ?? '', Number(url.searchParams.get('offset')), body);
        return 'done';
      case 'blobs':
        return this.#blob(request.method ?? '', url.pathname.split('/').at(-1) ?? '', body);
      case 'leave':
        this.leftCount += 1;
        return 'done';
      default:
        throw new Error(`no such route: ${route}`);
    }
  }

  #register(bearer: string, request: RegisterRequest): Answer {
    if (bearer !== this.joinToken) return { refused: 401 };
    const number = this.registrations.push(request);
    const credential = `credential-${number}`;
    this.#credentials.set(credential, undefined);
    return {
      json: {
        incarnation: `incarnation-${number}`,
        credential,
        leaseMs: this.leaseMs,
        renewEveryMs: this.renewEveryMs,
      },
    };
  }

  async #poll(request: PollRequest, { socket }: IncomingMessage): Promise<Answer> {
    this.polls.push(request);
    if (this.#forPoll.length === 0 && this.#orders.length === 0) {
      await new Promise<void>((resolve) => {
        const over = (): void => {
          socket.off('close', over);
          resolve();
        };
        this.#wakePoll = over;
        setTimeout(over, request.waitMs).unref();
        socket.once('close', over);
      });
    }
    if (socket.destroyed) return 'done';
    const assignments = request.draining ? [] : this.#forPoll;
    if (!request.draining) this.#forPoll = [];
    return { json: { assignments, kill: this.#orders.splice(0) } };
  }

  #report(reports: readonly Report[]): Answer {
    for (const item of reports) {
      this.reports.push(item);
      if (item.kind === 'started' || this.#settled.has(item.token)) continue;
      this.#settled.set(item.token, item);
      if (item.log !== undefined) this.#keepLog(item.token, item.log.offset, Buffer.from(item.log.data, 'base64'));
    }
    const assignments = this.#forReport;
    this.#forReport = [];
    return { json: { acknowledged: reports.map(({ token }) => token), assignments } };
  }

  #keepLog(token: string, offset: number, data: Buffer): void {
    const parts = this.#chunks.get(token) ?? new Map<number, Buffer>();
    this.#chunks.set(token, parts);
    if (!parts.has(offset)) parts.set(offset, data);
  }

  #blob(method: string, sha256: string, body: Buffer): Answer {
    if (method === 'GET') {
      const octets = this.blobs.get(sha256);
      return octets === undefined ? { refused: 404 } : { octets };
    }
    if (createHash('sha256').update(body).digest('hex') !== sha256) return { refused: 422 };
    this.blobs.set(sha256, body);
    return 'done';
  }
}

function problem(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ type: 'about:blank', title: code, status, code }));
}
