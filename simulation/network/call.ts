import type { Life } from '../clock/life.ts';
import type { Timeline } from '../clock/timeline.ts';
import type { Network, Reply, Request } from './network.ts';

/** Without a reply: nobody listens there, the connection broke, or no answer came in time. */
export type Called = Reply | { readonly status: 0; readonly body: string };

export interface CallOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** It does no harm when it arrives twice. */
  readonly repeatable?: boolean;
}

/**
 * One HTTP call from a process to the one that listens at a node. The answer is delivered to the caller's process: it waits while that is
 * paused, and never comes when it is dead.
 */
export function call(
  timeline: Timeline,
  network: Network,
  from: Life,
  to: string,
  request: Request,
  { timeoutMs, signal, repeatable = true }: CallOptions,
): Promise<Called> {
  return new Promise((resolve) => {
    let over = false;
    const closed = new AbortController();
    const finish = (called: Called): void => {
      if (over) return;
      over = true;
      cancelTimeout();
      signal?.removeEventListener('abort', giveUp);
      forgetCaller();
      resolve(called);
    };
    const hangUp = (): void => network.send(from.node, to, () => closed.abort());
    const giveUp = (): void => {
      if (over) return;
      hangUp();
      finish({ status: 0, body: 'given up' });
    };
    const cancelTimeout = from.clock.after(timeoutMs, giveUp);
    signal?.addEventListener('abort', giveUp);
    const forgetCaller = from.onDeath(hangUp);
    const reply = (called: Called): void => network.send(to, from.node, () => from.deliver(() => finish(called)));
    const arrive = (): void => {
      const listener = network.listeners.get(to);
      if (listener === undefined || !listener.life.alive) return reply({ status: 0, body: 'connection refused' });
      const forget = listener.life.onDeath(() => reply({ status: 0, body: 'connection reset' }));
      const serve = async (): Promise<void> => {
        const answer = await listener.answer(request, closed.signal);
        forget();
        if (listener.life.alive) reply(answer);
      };
      listener.life.deliver(() => void serve());
    };
    if (signal?.aborted === true) return finish({ status: 0, body: 'given up' });
    network.send(from.node, to, arrive);
    from.onCall?.(request.path);
    if (repeatable && network.weather.doubled > 0 && from.dice.chance(network.weather.doubled))
      network.send(from.node, to, arrive);
  });
}
