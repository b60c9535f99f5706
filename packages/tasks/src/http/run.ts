import { parseDuration } from '@keelson/core';
import { EnvHttpProxyAgent, request, type Dispatcher } from 'undici';
import { failed } from '../failure.ts';
import { readInput } from '../input-reading.ts';
import type { TaskContext, TaskResult, TaskRun } from '../task-type.ts';
import { bodyOutputs, readBody } from './body.ts';
import { expectationFailure } from './expectation.ts';
import { redirectOf, type Exchange } from './redirect.ts';
import { httpTask, type HttpTask } from './schema.ts';

/** Keeps connections for the next tasks, and goes through the proxy that the worker's environment names. */
const dispatcher = new EnvHttpProxyAgent();

/** Sends the request, follows the redirects that the task allows, and checks the answer. */
export const run: TaskRun = async (context) => {
  const reading = readInput(httpTask, context.input);
  if (!reading.ok) return reading.result;
  const { input } = reading;
  const url = URL.parse(input.url);
  if (url === null) return failed('bad-input', 'with.url is no URL');
  const deadline = AbortSignal.timeout(parseDuration(input.timeout) ?? 0);
  try {
    return await converse(context, input, firstExchange(input, url), AbortSignal.any([context.signal, deadline]));
  } catch (error) {
    if (context.signal.aborted) return failed('aborted', 'the request was broken off because the attempt ends');
    if (deadline.aborted)
      return failed('http-timeout', `no whole answer from ${shownUrl(url)} within ${input.timeout}`);
    return failed('http-error', `${input.method} ${shownUrl(url)}: ${networkMessage(error)}`);
  }
};

async function converse(
  context: TaskContext,
  input: HttpTask,
  first: Exchange,
  signal: AbortSignal,
): Promise<TaskResult> {
  let exchange = first;
  for (let followed = 0; ; followed += 1) {
    const answer = await send(context, exchange, signal);
    const redirect = redirectOf(
      exchange,
      answer.statusCode,
      headerText(answer.headers['location']),
      input.followRedirects,
      followed,
    );
    if (redirect.kind === 'answer') return judge(context, input, answer);
    await answer.body.dump({ limit: 64 * 1024 });
    if (redirect.kind === 'refuse')
      return failed(redirect.code, `${exchange.method} ${shownUrl(exchange.url)}: ${redirect.message}`);
    exchange = redirect.next;
  }
}

function firstExchange(input: HttpTask, url: URL): Exchange {
  for (const [key, value] of Object.entries(input.query ?? {})) {
    for (const item of [value].flat()) url.searchParams.append(key, String(item));
  }
  const headers: Record<string, string> = { 'user-agent': 'keelson' };
  if (input.body !== undefined && typeof input.body !== 'string') headers['content-type'] = 'application/json';
  for (const [name, value] of Object.entries(input.headers ?? {})) headers[name.toLowerCase()] = String(value);
  const body = input.body === undefined || typeof input.body === 'string' ? input.body : JSON.stringify(input.body);
  return { url, method: input.method, headers, body };
}

/** One request, and one line about it in the log. The task's own deadline stands in for those of the client. */
async function send(context: TaskContext, exchange: Exchange, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
  const { url, method, headers, body } = exchange;
  const started = performance.now();
  const note = (end: string) => {
    context.log.write(`${method} ${shownUrl(url)} → ${end} in ${Math.round(performance.now() - started)} ms\n`);
  };
  try {
    const options = { method, headers, body: body ?? null, signal, dispatcher, headersTimeout: 0, bodyTimeout: 0 };
    const answer = await request(url, options);
    note(String(answer.statusCode));
    return answer;
  } catch (error) {
    note(signal.aborted ? 'broken off' : networkMessage(error));
    throw error;
  }
}

async function judge(context: TaskContext, input: HttpTask, answer: Dispatcher.ResponseData): Promise<TaskResult> {
  const contentType = headerText(answer.headers['content-type']) ?? '';
  const body = await readBody(answer.body, contentType);
  const failure = expectationFailure(input, answer.statusCode, body);
  if (failure !== undefined) return failure;
  const { outputs, notes } = bodyOutputs(body);
  for (const note of notes) context.log.write(`${note}\n`);
  const headers = Object.fromEntries(
    Object.entries(answer.headers).map(([name, value]) => [name, headerText(value) ?? '']),
  );
  return { outcome: 'succeeded', outputs: { status: answer.statusCode, headers, ...outputs } };
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}

/** Query and credentials may hold secrets, and stay out of log and reason. */
function shownUrl(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** A host with several addresses fails with one error for each, and an empty message for them all. */
function networkMessage(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(networkMessage).join('; ');
  return error instanceof Error ? error.message : String(error);
}
