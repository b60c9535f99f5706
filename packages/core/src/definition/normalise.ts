import type { JsonObject } from '../json.ts';
import { parseDuration } from '../time/duration.ts';
import type { TaskEndState } from '../engine/states.ts';
import { DEFAULT_LOSSES } from '../engine/retry.ts';
import type { ActionFile, BroadcastStepFile, DefaultsFile, TaskFile } from './file-schema.ts';
import type { BroadcastDefinition, BroadcastStep, RetryPolicy, TaskDefinition } from './model.ts';

const DEFAULT_RETRY_DELAY_MS = 10_000;
const DEFAULT_MAX_RETRY_DELAY_MS = 3_600_000;

/** A task with its short forms expanded and the workflow's defaults folded in. Takes what passed the schema. */
export function normaliseTask(id: string, file: TaskFile, defaults: DefaultsFile): TaskDefinition {
  const timeout = file.timeout ?? defaults.timeout;
  const losses = lossesOf(file.onLost ?? defaults.onLost);
  const env = { ...textValues(defaults.env), ...textValues(file.env) };
  return {
    id,
    ...(file.title !== undefined && { title: file.title }),
    ...(file.description !== undefined && { description: file.description }),
    ...(file.owner !== undefined && { owner: file.owner }),
    labels: textValues(file.labels),
    uses: file.uses ?? 'shell',
    with: taskInput(file),
    needs: normaliseNeeds(file.needs),
    ...(file.if !== undefined && { if: String(file.if) }),
    env,
    retry: normaliseRetry(file.retry, defaults.retry),
    ...(timeout !== undefined && {
      timeout: { afterMs: milliseconds(timeout), action: file.onTimeout ?? defaults.onTimeout ?? 'fail' },
    }),
    delayMs: milliseconds(file.delay ?? '0s'),
    priority: file.priority ?? defaults.priority ?? 0,
    workerGroup: file.workerGroup ?? defaults.workerGroup ?? 'default',
    allowFailure: file.allowFailure ?? false,
    // Left out where it says what holds anyway: the hash of a definition does not depend on how much it spells out.
    ...(losses !== DEFAULT_LOSSES && { onLost: { retries: losses } }),
    ...(file.mode === 'broadcast' && { broadcast: normaliseBroadcast(file, env) }),
  };
}

function lossesOf(policy: TaskFile['onLost']): number {
  if (policy === 'fail') return 0;
  return policy === undefined || policy === 'retry' ? DEFAULT_LOSSES : policy.retry;
}

function normaliseBroadcast(file: TaskFile, env: Readonly<Record<string, string>>): BroadcastDefinition {
  const { before, after, parallel, maxFailed = 0 } = file.broadcast ?? {};
  const step = (own: BroadcastStepFile): BroadcastStep => ({
    uses: own.uses ?? (own.run !== undefined ? 'shell' : (file.uses ?? 'shell')),
    with: taskInput(own),
    env: { ...env, ...textValues(own.env) },
  });
  return {
    ...(before !== undefined && { before: step(before) }),
    ...(after !== undefined && { after: step(after) }),
    ...(parallel !== undefined && { parallel }),
    maxFailed,
  };
}

/** `with`, with the script of the `run` short form in it. */
export function taskInput(file: ActionFile): JsonObject {
  const given = (file.with ?? {}) as JsonObject;
  return file.run === undefined ? given : { ...given, run: file.run };
}

export function textValues(
  values: Readonly<Record<string, string | number | boolean>> | undefined,
): Record<string, string> {
  return Object.fromEntries(Object.entries(values ?? {}).map(([key, value]) => [key, String(value)]));
}

function normaliseNeeds(needs: TaskFile['needs']): Record<string, readonly TaskEndState[]> {
  if (needs === undefined) return {};
  if (Array.isArray(needs)) return Object.fromEntries(needs.map((id): [string, TaskEndState[]] => [id, ['succeeded']]));
  return Object.fromEntries(
    Object.entries(needs).map(([id, states]) => [id, typeof states === 'string' ? [states] : [...new Set(states)]]),
  );
}

type RetryFile = TaskFile['retry'];

function normaliseRetry(own: RetryFile, shared: RetryFile): RetryPolicy {
  const policy = { ...retryFields(shared), ...retryFields(own) };
  const max = policy.max ?? 0;
  return {
    max,
    delayMs: policy.delay !== undefined ? milliseconds(policy.delay) : max > 0 ? DEFAULT_RETRY_DELAY_MS : 0,
    backoff: policy.backoff ?? 'fixed',
    maxDelayMs: policy.maxDelay !== undefined ? milliseconds(policy.maxDelay) : DEFAULT_MAX_RETRY_DELAY_MS,
  };
}

function retryFields(retry: RetryFile): Exclude<RetryFile, number | undefined> {
  return typeof retry === 'number' ? { max: retry } : (retry ?? {});
}

/** The schema has checked the form; what is too long was reported, and its value is never used. */
function milliseconds(duration: string): number {
  return parseDuration(duration) ?? 0;
}
