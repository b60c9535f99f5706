import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { DueAlert, Store } from '@keelson/store';
import { sendToWebhook } from './webhook.ts';

export interface AlertOptions {
  readonly store: Pick<Store, 'alerts' | 'signals'>;
  readonly log: Logger;
  /** URLs that each alert is posted to as JSON; none: alerts only go to the log. */
  readonly webhooks: readonly string[];
}

export interface AlertRole {
  /** Ends after what is being sent has been. */
  stop(): Promise<void>;
}

const BATCH = 20;
/** Longer than sending to all webhooks may take: then nobody else sends the same alert meanwhile. */
const LEASE_MS = 60_000;
const LONGEST_SLEEP_MS = 1_000;

/**
 * Delivers alerts from the outbox, at least once. An alert is delivered when every webhook has taken it; else it comes
 * again later, for all of them, with the reason in its row.
 */
export function startAlert({ store, log, webhooks }: AlertOptions): AlertRole {
  const stopping = new AbortController();
  let woken = Promise.withResolvers<void>();
  const unlisten = store.signals.listen('alert', () => woken.resolve());

  const deliver = async (alert: DueAlert): Promise<void> => {
    const { id, kind, instanceId, project, workflow, payload, tries } = alert;
    log.warn({ alert: id, kind, instanceId, project, workflow, payload, tries }, 'alert');
    const failures = (await Promise.all(webhooks.map((url) => sendToWebhook(url, alert)))).filter(
      (failure) => failure !== undefined,
    );
    if (failures.length === 0) return store.alerts.delivered(id);
    log.warn({ alert: id, tries, failures }, 'an alert could not be delivered and will be sent again');
    await store.alerts.failed(id, failures.join('; '));
  };

  const waitForWork = async (): Promise<void> => {
    const due = await store.alerts.msUntilDue();
    const over = new AbortController();
    const ms = Math.min(due ?? LONGEST_SLEEP_MS, LONGEST_SLEEP_MS);
    const time = sleep(ms, undefined, { signal: AbortSignal.any([stopping.signal, over.signal]) }).catch(
      () => undefined,
    );
    await Promise.race([woken.promise, time]);
    over.abort();
  };

  const work = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        // Renewed before the look: a signal that comes while looking is not lost.
        woken = Promise.withResolvers<void>();
        const alerts = await store.alerts.claim({ limit: BATCH, leaseMs: LEASE_MS });
        await Promise.all(alerts.map(deliver));
        if (alerts.length < BATCH) await waitForWork();
      } catch (error) {
        log.error({ err: error }, 'the alert outbox could not be read or written; trying again');
        await sleep(LONGEST_SLEEP_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
  };

  const working = work();
  return {
    stop: async () => {
      stopping.abort();
      unlisten();
      await working;
    },
  };
}
