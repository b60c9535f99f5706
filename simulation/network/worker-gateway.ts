import type { Outcome } from '../../packages/worker/src/gateway/call.ts';
import type { Gateway, IncarnationGateway } from '../../packages/worker/src/gateway/client.ts';
import type { Life } from '../clock/life.ts';
import type { Timeline } from '../clock/timeline.ts';
import { call } from './call.ts';
import type { Called } from './call.ts';
import type { Network } from './network.ts';

const TIMEOUT_MS = { call: 30_000, leave: 5000, pollSlack: 10_000 };

interface Ask {
  readonly path: string;
  readonly bearer: string;
  readonly body: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

type AskFor = <T>(ask: Ask) => Promise<Outcome<T>>;

/** The worker's client of the gateway over the simulated network: the same calls, the same turns from server to server. */
export function simulatedGateway(
  timeline: Timeline,
  network: Network,
  life: Life,
  servers: readonly string[],
): Pick<Gateway, 'register' | 'as'> {
  const asked = asker(timeline, network, life, servers);
  return {
    register: (joinToken, request, signal) =>
      asked({
        path: 'register',
        bearer: joinToken,
        body: JSON.stringify(request),
        timeoutMs: TIMEOUT_MS.call,
        signal,
      }),
    as: (credential, signal) => incarnationGateway(asked, credential, signal),
  };
}

function incarnationGateway(asked: AskFor, bearer: string, signal: AbortSignal): IncarnationGateway {
  return {
    poll: (request, own) =>
      asked({
        path: 'poll',
        bearer,
        body: JSON.stringify(request),
        timeoutMs: request.waitMs + TIMEOUT_MS.pollSlack,
        signal: own,
      }),
    report: (body) => asked({ path: 'report', bearer, body, timeoutMs: TIMEOUT_MS.call, signal }),
    renew: (request, timeoutMs) => asked({ path: 'renew', bearer, body: JSON.stringify(request), timeoutMs, signal }),
    leave: () => asked({ path: 'leave', bearer, body: '{}', timeoutMs: TIMEOUT_MS.leave }),
    // Simulated tasks write no logs and have no files.
    log: async () => 'stored',
    getBlob: async () => ({ kind: 'failed', message: 'there are no blobs here' }),
    putBlob: async () => ({ kind: 'failed', message: 'there are no blobs here' }),
  };
}

/** All calls go to one server until it fails; then to the next, and what is open to the old one is given up. */
function asker(timeline: Timeline, network: Network, life: Life, servers: readonly string[]): AskFor {
  let index = life.dice.whole(0, servers.length - 1);
  let gone = new AbortController();
  return async <T>({ path, bearer, body, timeoutMs, signal }: Ask): Promise<Outcome<T>> => {
    const server = servers[index] ?? '';
    const failed = (): void => {
      if (server !== servers[index]) return;
      index = (index + 1) % servers.length;
      const old = gone;
      gone = new AbortController();
      old.abort();
    };
    const given = new AbortController();
    const giveUp = (): void => given.abort();
    const old = gone.signal;
    old.addEventListener('abort', giveUp);
    signal?.addEventListener('abort', giveUp);
    if (signal?.aborted === true) given.abort();
    const called = await call(
      timeline,
      network,
      life,
      server,
      { path, bearer, body },
      { timeoutMs, signal: given.signal },
    );
    old.removeEventListener('abort', giveUp);
    signal?.removeEventListener('abort', giveUp);
    const outcome = outcomeOf<T>(called);
    if (outcome.kind === 'failed' && signal?.aborted !== true) failed();
    return outcome;
  };
}

function outcomeOf<T>({ status, body }: Called): Outcome<T> {
  if (status >= 200 && status < 300) return { kind: 'ok', value: (body === '' ? undefined : JSON.parse(body)) as T };
  if (status >= 400 && status < 500 && status !== 408 && status !== 429) {
    const problem = JSON.parse(body) as { code: string; detail?: string };
    return { kind: 'refused', status, code: problem.code, message: problem.detail ?? problem.code };
  }
  return { kind: 'failed', message: `${status} ${body}` };
}
