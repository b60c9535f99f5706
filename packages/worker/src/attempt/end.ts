import type { FailureReason, TaskResult } from '@keelson/tasks';
import { maskText } from '../log/masker.ts';
import type { AttemptState } from './attempt.ts';

/** Why an attempt is made to end. */
export type AbortCause = 'stop' | 'timeout' | 'not-active' | 'revoked' | 'worker-shutdown' | 'lease-lost';

export type AttemptEndKind = 'succeeded' | 'failed' | 'stopped' | 'lost';

interface End {
  readonly end: AttemptEndKind;
  readonly reason?: FailureReason;
  readonly outputsJson?: string;
}

/** The limits of the protocol; a longer text is cut. */
const MAX_MESSAGE = 8192;
const MAX_CODE = 64;
const MAX_OUTPUTS_BYTES = 2 * 1024 * 1024;

/** The end to report. What a task did after it was told to end does not matter; `result` undefined: it has not ended at all. */
export function endOf(state: AttemptState, result: TaskResult | undefined): End {
  const end = unmaskedEnd(state, result);
  if (end.reason === undefined) return end;
  return { ...end, reason: { ...end.reason, message: maskText(end.reason.message, state.assignment.secrets) } };
}

function unmaskedEnd(state: AttemptState, result: TaskResult | undefined): End {
  if (state.cause !== undefined) return abortedEnd(state.cause, result, state.assignment.timeout?.afterMs ?? 0);
  if (state.launcherDied)
    return {
      end: 'lost',
      reason: {
        code: 'launcher-died',
        message: "the worker's launcher process ended unexpectedly, and the task was killed",
      },
    };
  if (result === undefined)
    return { end: 'failed', reason: { code: 'internal', message: 'the attempt ended without a result' } };
  if (result.outcome === 'failed') return { end: 'failed', reason: bounded(result.reason) };
  return withOutputs(result.outputs, state.assignment.secrets);
}

const LOST: Readonly<Partial<Record<AbortCause, string>>> = {
  'not-active': 'the server does not count this attempt as active; the worker killed it',
  revoked: 'the server took this attempt back; the worker killed it',
  'worker-shutdown': 'the worker was shut down, and the attempt with it',
  'lease-lost': 'the worker could not renew its lease, and killed the attempt',
};

function abortedEnd(cause: AbortCause, result: TaskResult | undefined, timeoutMs: number): End {
  const still = result === undefined ? '; it ignored its abort signal and still runs inside the worker' : '';
  if (cause === 'timeout')
    return {
      end: 'failed',
      reason: {
        ...exitOf(result),
        code: 'timeout',
        message: `did not end within its timeout of ${timeoutMs} ms${still}`,
      },
    };
  const code = result === undefined ? 'did-not-stop' : cause === 'stop' ? 'stopped' : cause;
  const message = `${LOST[cause] ?? 'stopped on request'}${still}`;
  return { end: cause === 'stop' ? 'stopped' : 'lost', reason: { ...exitOf(result), code, message } };
}

function exitOf(result: TaskResult | undefined): { exitCode?: number; signal?: string } {
  if (result?.outcome !== 'failed') return {};
  const { exitCode, signal } = result.reason;
  return { ...(exitCode === undefined ? {} : { exitCode }), ...(signal === undefined ? {} : { signal }) };
}

function bounded(reason: FailureReason): FailureReason {
  if (reason.code.length <= MAX_CODE && reason.message.length <= MAX_MESSAGE) return reason;
  return { ...reason, code: reason.code.slice(0, MAX_CODE), message: reason.message.slice(0, MAX_MESSAGE) };
}

function withOutputs(outputs: Readonly<Record<string, unknown>>, secrets: readonly string[]): End {
  let outputsJson: string;
  try {
    outputsJson = JSON.stringify(outputs);
  } catch (error) {
    return {
      end: 'failed',
      reason: {
        code: 'bad-output',
        message: `the outputs are no JSON: ${error instanceof Error ? error.message : String(error)}`,
      },
    };
  }
  if (outputsJson === '{}') return { end: 'succeeded' };
  const leak = secrets.length === 0 ? undefined : outputWithSecret(outputs, secrets);
  if (leak !== undefined) {
    const message = `output ${leak} holds a secret, and outputs are stored and shown in plain; read the secret where it is needed`;
    return { end: 'failed', reason: { code: 'bad-output', message } };
  }
  if (Buffer.byteLength(outputsJson) > MAX_OUTPUTS_BYTES) {
    return {
      end: 'failed',
      reason: {
        code: 'bad-output',
        message: `the outputs are larger than ${MAX_OUTPUTS_BYTES} bytes together; write large results to $KEELSON_OUTPUT_DIR`,
      },
    };
  }
  return { end: 'succeeded', outputsJson };
}

function outputWithSecret(outputs: Readonly<Record<string, unknown>>, secrets: readonly string[]): string | undefined {
  for (const [name, value] of Object.entries(outputs)) {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    if (maskText(text, secrets) !== text) return name;
  }
  return undefined;
}
