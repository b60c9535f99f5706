import { inspect } from 'node:util';
import type { JsonValue } from '@keelson/core';
import { failed } from '../failure.ts';
import { outputKeyProblem, outputProblem } from '../storable-json.ts';
import type { TaskContext, TaskResult, TaskRun } from '../task-type.ts';
import type { Processor, ProcessorContext, ProcessorLog } from './processor.ts';

const OUTPUT_KEY = /^[A-Za-z_][A-Za-z0-9_]*$/;
const WITHOUT_OUTPUTS: TaskResult = { outcome: 'succeeded', outputs: {} };

/**
 * A run that calls the registered functions. It makes no workspace and awaits nothing but the function itself: tens of
 * thousands of small tasks per second go through here.
 */
export function processorRun(registry: ReadonlyMap<string, Processor>): TaskRun {
  return async (context) => {
    const name = context.input['processor'];
    const processor = typeof name === 'string' ? registry.get(name) : undefined;
    if (processor === undefined) {
      return failed(
        'unknown-processor',
        `this worker has no processor ${JSON.stringify(name ?? null)}; it has ${names(registry)}`,
      );
    }
    let returned: unknown;
    try {
      returned = await processor(processorContext(context));
    } catch (error) {
      return thrown(context, error);
    }
    return returned === undefined || returned === null ? WITHOUT_OUTPUTS : outputsResult(returned);
  };
}

function names(registry: ReadonlyMap<string, Processor>): string {
  return registry.size === 0 ? 'none' : [...registry.keys()].toSorted().join(', ');
}

function processorContext(context: TaskContext): ProcessorContext {
  return {
    args: context.input['args'] ?? null,
    instanceId: context.instanceId,
    task: context.task,
    attempt: context.attempt,
    ...(context.broadcast === undefined ? {} : { broadcast: context.broadcast }),
    signal: context.signal,
    log: processorLog(context),
    progress: (fraction, message) => context.progress(fraction, message),
  };
}

function processorLog({ log }: TaskContext): ProcessorLog {
  return {
    write: (chunk) => log.write(chunk),
    debug: (message) => log.write(`debug: ${message}\n`),
    info: (message) => log.write(`${message}\n`),
    warn: (message) => log.write(`warning: ${message}\n`),
    error: (message) => log.write(`error: ${message}\n`),
  };
}

/** Goes through JSON once: a Date or an undefined ends up as the wire would make it, a bigint or a cycle is told here. */
function outputsResult(returned: unknown): TaskResult {
  let outputs: JsonValue;
  try {
    outputs = JSON.parse(JSON.stringify(returned) ?? 'null') as JsonValue;
  } catch (error) {
    return failed('bad-output', `what the processor returned is no JSON: ${messageOf(error)}`);
  }
  if (outputs === null || typeof outputs !== 'object' || Array.isArray(outputs)) {
    return failed(
      'bad-output',
      `the processor must return an object of outputs or nothing; it returned ${inspect(returned).slice(0, 100)}`,
    );
  }
  for (const [key, value] of Object.entries(outputs)) {
    if (!OUTPUT_KEY.test(key))
      return failed('bad-output', `output key ${JSON.stringify(key)}: only letters, digits and _, no digit first`);
    const problem = outputKeyProblem(key) ?? outputProblem(value);
    if (problem !== undefined) return failed('bad-output', `the output "${key}" ${problem}`);
  }
  return { outcome: 'succeeded', outputs };
}

function thrown(context: TaskContext, error: unknown): TaskResult {
  const stack = error instanceof Error ? error.stack : undefined;
  context.log.write(`${stack ?? messageOf(error)}\n`);
  return failed('processor-error', messageOf(error));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : `thrown: ${inspect(error)}`;
}
