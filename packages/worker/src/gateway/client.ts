import { createReadStream } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import type { Readable } from 'node:stream';
import {
  WORKER_HEADERS,
  pollResponse,
  registerResponse,
  renewResponse,
  reportResponse,
  type PollRequest,
  type PollResponse,
  type RegisterRequest,
  type RegisterResponse,
  type RenewRequest,
  type RenewResponse,
  type ReportResponse,
} from '@keelson/protocol';
import type { SendOutcome } from '../log/attempt-log.ts';
import type { Clock } from '@keelson/core';
import { makeCall, postJson, type Call, type Outcome } from './call.ts';
import { openServers, type Servers } from './servers.ts';

/** The worker's side of the protocol. No call throws or retries by itself. */
export interface Gateway {
  register(joinToken: string, request: RegisterRequest, signal: AbortSignal): Promise<Outcome<RegisterResponse>>;
  /** The calls of one incarnation. `signal` ends those that are under way, except `leave`. */
  as(credential: string, signal: AbortSignal): IncarnationGateway;
  close(): Promise<void>;
}

export interface IncarnationGateway extends BlobGateway {
  poll(request: PollRequest, signal: AbortSignal): Promise<Outcome<PollResponse>>;
  /** `body`: a reportRequest as JSON; `tries`: how often in a row one was sent in vain before. */
  report(body: string, tries?: number): Promise<Outcome<ReportResponse>>;
  renew(request: RenewRequest, timeoutMs: number): Promise<Outcome<RenewResponse>>;
  log(token: string, offset: number, data: Buffer): Promise<SendOutcome>;
  leave(): Promise<Outcome<void>>;
}

export interface BlobGateway {
  /** Hands the body to `save`, whose failure is the call's failure. */
  getBlob(sha256: string, save: (body: Readable) => Promise<void>): Promise<Outcome<void>>;
  putBlob(sha256: string, file: string, size: number, signal: AbortSignal): Promise<Outcome<void>>;
}

const CALL_TIMEOUT_MS = 30_000;
const LEAVE_TIMEOUT_MS = 5000;
const LOG_TIMEOUT_MS = 10_000;
/** A blob is streamed; slow is not stuck, but this long is. */
const BLOB_TIMEOUT_MS = 30 * 60_000;
/** Beyond what the gateway may hold a poll open. */
const POLL_SLACK_MS = 10_000;
const OCTETS = { 'content-type': 'application/octet-stream' };
const JSON_BODY = { 'content-type': 'application/json' };

/** What a worker is told beside the answers. */
export interface GatewayHints {
  /** A newer worker of the same name has joined; told at every renewal. */
  superseded?(): void;
}

/** Opens the connections lazily. Throws on a bad server URL. */
export function openGateway(urls: readonly string[], clock: Clock, hints: GatewayHints = {}): Gateway {
  const servers = openServers(urls);
  return {
    register(joinToken, request, signal) {
      const body = JSON.stringify(request);
      const call = {
        path: 'register',
        connection: 'calls',
        bearer: joinToken,
        body,
        timeoutMs: CALL_TIMEOUT_MS,
        signal,
      } as const;
      return postJson(servers, clock, registerResponse, call);
    },
    as: (credential, signal) => incarnationGateway(servers, clock, { bearer: credential, signal }, hints),
    close: () => servers.close(),
  };
}

/** What every call of an incarnation carries. */
type Credentials = Pick<Call, 'bearer' | 'signal'>;

function incarnationGateway(
  servers: Servers,
  clock: Clock,
  credentials: Credentials,
  hints: GatewayHints,
): IncarnationGateway {
  const call = { ...credentials, timeoutMs: CALL_TIMEOUT_MS, connection: 'calls' } as const;
  return {
    ...blobGateway(servers, clock, credentials),
    poll(request, signal) {
      const timeoutMs = request.waitMs + POLL_SLACK_MS;
      return postJson(servers, clock, pollResponse, {
        ...call,
        path: 'poll',
        body: JSON.stringify(request),
        signal,
        timeoutMs,
        waits: true,
      });
    },
    report(body, tries = 0) {
      const headers = tries === 0 ? {} : { [WORKER_HEADERS.tries]: String(tries) };
      return postJson(servers, clock, reportResponse, { ...call, path: 'report', headers, body });
    },
    renew(request, timeoutMs) {
      const body = JSON.stringify(request);
      return postJson(servers, clock, renewResponse, {
        ...call,
        path: 'renew',
        headers: { [WORKER_HEADERS.load]: loadPerCore() },
        body,
        connection: 'renewals',
        timeoutMs,
        onAnswer: (headers) => headers[WORKER_HEADERS.superseded] !== undefined && hints.superseded?.(),
      });
    },
    async log(token, offset, data) {
      const path = `log?token=${encodeURIComponent(token)}&offset=${offset}`;
      const post = {
        ...call,
        method: 'POST',
        path,
        headers: OCTETS,
        body: data,
        connection: 'bulk',
        timeoutMs: LOG_TIMEOUT_MS,
      } as const;
      const outcome = await makeCall(servers, clock, post, dumped);
      if (outcome.kind === 'ok') return 'stored';
      return outcome.kind === 'refused' ? 'refused' : 'try-again';
    },
    leave() {
      const { bearer } = credentials;
      const post = { bearer, method: 'POST', path: 'leave', headers: JSON_BODY, body: '{}' } as const;
      return makeCall(servers, clock, { ...post, connection: 'calls', timeoutMs: LEAVE_TIMEOUT_MS }, dumped);
    },
  };
}

function loadPerCore(): string {
  const [lastMinute = 0] = loadavg();
  return (lastMinute / availableParallelism()).toFixed(2);
}

function blobGateway(servers: Servers, clock: Clock, credentials: Credentials): BlobGateway {
  const call = { ...credentials, connection: 'bulk', timeoutMs: BLOB_TIMEOUT_MS } as const;
  return {
    getBlob: (sha256, save) =>
      makeCall(servers, clock, { ...call, method: 'GET', path: `blobs/${sha256}` }, (response) => save(response.body)),
    putBlob(sha256, file, size, signal) {
      const headers = { ...OCTETS, 'content-length': String(size) };
      return makeCall(
        servers,
        clock,
        { ...call, method: 'PUT', path: `blobs/${sha256}`, headers, body: createReadStream(file), signal },
        dumped,
      );
    },
  };
}

function dumped(response: { readonly body: { dump(): Promise<void> } }): Promise<void> {
  return response.body.dump();
}
