import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';

/** After the grace time a step gets this long before the next one is begun: a database that is away may hold it up for ever. */
const CUT_OFF_MS = 1000;

/**
 * Runs the steps of an end one after the other. When the grace time is over, connections that are still open are cut, and no step is
 * waited for any longer. Never throws: whoever ends cannot do more than say what went wrong.
 */
export async function endWithin(
  graceMs: number,
  log: Logger,
  app: Pick<FastifyInstance, 'server'>,
  steps: readonly (() => Promise<void>)[],
): Promise<void> {
  const until = performance.now() + graceMs;
  const cut = setTimeout(() => {
    log.warn({ graceMs }, 'the grace time is over: open connections are cut');
    app.server.closeAllConnections();
  }, graceMs);
  for (const step of steps) {
    const late = new AbortController();
    const done = step().then(
      () => true,
      (error: unknown) => {
        log.warn({ err: error }, 'a part did not end cleanly');
        return true;
      },
    );
    const limit = Math.max(0, until - performance.now()) + CUT_OFF_MS;
    if (!(await Promise.race([done, after(limit, late.signal)])))
      log.warn('a part did not end in time; the rest ends without it');
    late.abort();
  }
  clearTimeout(cut);
}

/** False after so many milliseconds. */
function after(ms: number, signal: AbortSignal): Promise<false> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms, false);
    signal.addEventListener('abort', () => clearTimeout(timer));
  });
}
