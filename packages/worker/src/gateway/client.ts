import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import {
  pollResponse, registerResponse, renewResponse, reportResponse,
  type PollRequest, type PollResponse, type RegisterRequest, type RegisterResponse, type RenewRequest, type RenewResponse, type ReportResponse,
} from '@keelson/protocol';
import type { Clock } from '../runtime/clock.ts';
import type { SendOutcome } from '../log/attempt-log.ts';
import { makeCall, postJson, type Outcome } from './call.ts';
import { openServers } from './servers.ts';

/** The worker's side of the protocol. No call throws or retries by itself. */
export interface Gateway {
  register(joinToken: string, request: RegisterRequest, signal: AbortSignal): Promise<Outcome<RegisterResponse>>;
  /** The calls of one incarnation. `signal` ends those that are under way, except `leave`. */
  as(credential: string, signal: AbortSignal): IncarnationGateway;
  close(): Promise<void>;
}

export interface IncarnationGateway {
  poll(request: PollRequest, signal: AbortSignal): Promise<Outcome<PollResponse>>;
  /** `body`: a reportRequest as JSON. */
  report(body: string): Promise<Outcome<ReportResponse>>;
  renew(request: RenewRequest, timeoutMs: number): Promise<Outcome<RenewResponse>>;
  log(token: string, offset: number, data: Buffer): Promise<SendOutcome>;
  /** Hands the body to `save`, whose failure is the call's failure. */
  getBlob(sha256: string, save: (body: Readable) => Promise<void>): Promise<Outcome<void>>;
  putBlob(sha256: string, file: string, size: number, signal: AbortSignal): Promise<Outcome<void>>;
  leave(): Promise<Outcome<void>>;
}

const CALL_TIMEOUT_MS = 30_000;
const LOG_TIMEOUT_MS = 10_000;
/** A blob is streamed; slow is not stuck, but this long is. */
const BLOB_TIMEOUT_MS = 30 * 60_000;
/** Beyond what the gateway may hold a poll open. */
const POLL_SLACK_MS = 10_000;

/** Opens the connections lazily. Throws on a bad server URL. */
export function openGateway(urls: readonly string[], clock: Clock): Gateway {
  const servers = openServers(urls);
  const nothing = async (response: { body: { dump(): Promise<void> } }): Promise<void> => response.body.dump();

  function incarnationGateway(bearer: string, signal: AbortSignal): IncarnationGateway {
    const call = { bearer, signal, timeoutMs: CALL_TIMEOUT_MS, connection: 'calls' } as const;
    return {
      poll: (request, pollSignal) =>
        postJson(servers, clock, pollResponse, { ...call, path: 'poll', body: JSON.stringify(request), signal: pollSignal, timeoutMs: request.waitMs + POLL_SLACK_MS }),
      report: (body) => postJson(servers, clock, reportResponse, { ...call, path: 'report', body }),
      renew: (request, timeoutMs) =>
        postJson(servers, clock, renewResponse, { ...call, path: 'renew', body: JSON.stringify(request), connection: 'renewals', timeoutMs }),
      async log(token, offset, data) {
        const path = `log?token=${encodeURIComponent(token)}&offset=${offset}`;
        const headers = { 'content-type': 'application/octet-stream' };
        const outcome = await makeCall(servers, clock, { ...call, method: 'POST', path, headers, body: data, connection: 'bulk', timeoutMs: LOG_TIMEOUT_MS }, nothing);
        return outcome.kind === 'ok' ? 'stored' : outcome.kind === 'refused' ? 'refused' : 'try-again';
      },
      getBlob: (sha256, save) =>
        makeCall(servers, clock, { ...call, method: 'GET', path: `blobs/${sha256}`, connection: 'bulk', timeoutMs: BLOB_TIMEOUT_MS }, (response) => save(response.body)),
      putBlob(sha256, file, size, putSignal) {
        const headers = { 'content-type': 'application/octet-stream', 'content-length': String(size) };
        const body = createReadStream(file);
        return makeCall(servers, clock, { ...call, method: 'PUT', path: `blobs/${sha256}`, headers, body, connection: 'bulk', timeoutMs: BLOB_TIMEOUT_MS, signal: putSignal }, nothing);
      },
      leave: () => makeCall(servers, clock, { bearer, method: 'POST', path: 'leave', headers: { 'content-type': 'application/json' }, body: '{}', connection: 'calls', timeoutMs: 5000 }, nothing),
    };
  }

  return {
    register: (joinToken, request, signal) =>
      postJson(servers, clock, registerResponse, { path: 'register', connection: 'calls', bearer: joinToken, body: JSON.stringify(request), timeoutMs: CALL_TIMEOUT_MS, signal }),
    as: incarnationGateway,
    close: () => servers.close(),
  };
}
