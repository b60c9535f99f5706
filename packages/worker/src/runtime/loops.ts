import { backoffMs, sleep, type Clock, type Random } from '@keelson/core';
import type { RenewRequest } from '@keelson/protocol';
import type { Outcome } from '../gateway/call.ts';
import type { IncarnationGateway } from '../gateway/client.ts';
import type { AttemptDesk, Held } from './attempt-desk.ts';
import type { Contact } from './contact.ts';
import type { Lease } from './lease.ts';
import type { TokenTable } from './tokens.ts';

export type Progress = NonNullable<RenewRequest['progress']>[number];

/** What the loops of an incarnation share. They end when `signal` aborts. */
export interface LoopContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly gateway: IncarnationGateway;
  readonly tokens: TokenTable<Held>;
  readonly desk: AttemptDesk;
  readonly lease: Lease;
  readonly contact: Contact;
  readonly signal: AbortSignal;
  /** True: the server says that the incarnation is over. */
  troubled(outcome: Outcome<never>): boolean;
}

/** Keeps the lease, tells progress, and ends what the server orders to end. */
export async function renewLoop(
  context: LoopContext,
  renewEveryMs: number,
  progress: Map<string, Progress>,
): Promise<void> {
  const { clock, random, gateway, tokens, desk, lease, contact, signal } = context;
  let waitMs = renewEveryMs;
  for (let failures = 0; ;) {
    await sleep(clock, waitMs, signal);
    if (signal.aborted) return;
    const sentAt = clock.now();
    const said = [...progress.values()];
    progress.clear();
    // Half an interval: within the lease there is time to ask a second server, and a third.
    const timeoutMs = Math.max(100, Math.min(renewEveryMs / 2, lease.leftMs()));
    const request = { held: tokens.heldTokens(), ...(said.length === 0 ? {} : { progress: said }) };
    const outcome = await gateway.renew(request, timeoutMs);
    if (signal.aborted) return;
    if (outcome.kind === 'ok') {
      failures = 0;
      contact.made();
      lease.renewed(sentAt, outcome.value.leaseMs);
      desk.kill(outcome.value.kill);
      waitMs = Math.max(0, sentAt + renewEveryMs - clock.now());
    } else {
      // What a task has said since is newer.
      for (const item of said) {
        if (!progress.has(item.token) && tokens.get(item.token)?.running === true) progress.set(item.token, item);
      }
      if (context.troubled(outcome)) return;
      waitMs = backoffMs(failures++, Math.min(100, renewEveryMs / 4), renewEveryMs, random);
    }
  }
}

export interface Polling {
  /** From now on the polls say so, also the one that is open. */
  startDraining(): void;
  /** A server has heard that this worker drains, and handed over what was bound to it before: nothing comes any more. */
  readonly isDrainKnown: boolean;
  /** The open poll ends, and there is no other. */
  stop(): void;
}

const IDLE_POLL_MS = 20;

/** Holds one poll open for assignments and orders. */
export function startPolling(
  context: LoopContext,
  pollWaitMs: number,
  drainingFromStart: boolean,
  accept: AttemptDesk['take'],
): Polling {
  const { clock, random, gateway, tokens, desk, contact, signal } = context;
  let draining = drainingFromStart;
  let drainKnown = false;
  let stopped = false;
  let controller = new AbortController();

  async function loop(): Promise<void> {
    for (let failures = 0; !signal.aborted && !stopped;) {
      const open = controller;
      const sentAt = clock.now();
      const saysSo = draining;
      // The first that says it is answered at once: whoever drains waits for that.
      const waitMs = saysSo && !drainKnown ? 0 : pollWaitMs;
      const outcome = await gateway.poll({ held: tokens.heldTokens(), waitMs, draining }, open.signal);
      if (signal.aborted) return;
      if (outcome.kind === 'ok') {
        failures = 0;
        contact.made();
        const { kill, assignments } = outcome.value;
        desk.kill(kill);
        accept(assignments);
        drainKnown ||= saysSo;
        // A server that has nothing to hand out and yet answers at once must not be asked without a pause.
        if (assignments.length === 0 && clock.now() - sentAt < IDLE_POLL_MS) await sleep(clock, IDLE_POLL_MS, signal);
      } else if (!open.signal.aborted) {
        if (context.troubled(outcome)) return;
        await sleep(clock, backoffMs(failures++, 100, 5000, random), open.signal);
      }
    }
  }

  void loop();
  return {
    get isDrainKnown() {
      return drainKnown;
    },
    startDraining() {
      if (draining) return;
      draining = true;
      const open = controller;
      controller = new AbortController();
      open.abort();
    },
    stop() {
      stopped = true;
      controller.abort();
    },
  };
}
