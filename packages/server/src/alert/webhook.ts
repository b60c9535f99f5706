import type { DueAlert } from '@keelson/store';

const TIMEOUT_MS = 10_000;
const DRAINED_BYTES = 64 * 1024;

/** What a webhook receives. `id` stays the same when an alert is sent again. */
export interface WebhookMessage {
  readonly id: string;
  readonly kind: string;
  readonly createdAt: string;
  readonly instanceId: string | null;
  readonly project: string | null;
  readonly workflow: string | null;
  readonly payload: DueAlert['payload'];
}

/** Posts one alert. Answers why it was not taken; undefined when it was. Never rejects. */
export async function sendToWebhook(url: string, alert: DueAlert): Promise<string | undefined> {
  const { id, kind, createdAt, instanceId, project, workflow, payload } = alert;
  const message: WebhookMessage = { id, kind, createdAt, instanceId, project, workflow, payload };
  // A webhook's path or query often is its password: only its host goes into the log and the outbox.
  const host = URL.parse(url)?.host ?? 'the webhook';
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'keelson', 'idempotency-key': `alert-${id}` },
      body: JSON.stringify(message),
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await drain(response);
    return response.ok ? undefined : `${host} answered ${response.status}`;
  } catch (error) {
    return `${host}: ${reasonOf(error)}`;
  }
}

/** So that the connection can be used again; a long answer is not worth it. */
async function drain(response: Response): Promise<void> {
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += (chunk as Uint8Array).length;
    if (size > DRAINED_BYTES) return;
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'failed';
  if (error.name === 'TimeoutError') return `no answer within ${TIMEOUT_MS / 1000} s`;
  const { cause } = error;
  if (typeof cause === 'object' && cause !== null && 'code' in cause && typeof cause.code === 'string')
    return cause.code;
  return cause instanceof Error ? cause.message : 'failed';
}
