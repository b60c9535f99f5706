import { evaluateWhole, renderTemplate } from '../expression/evaluate.ts';
import { ExpressionError } from '../expression/expression-error.ts';
import type { RunContext, Scope } from '../expression/scope.ts';
import { NotJson } from '../expression/scope.ts';
import { hasExpression } from '../expression/template.ts';
import type { JsonObject, JsonValue } from '../json.ts';
import { didYouMean } from '../suggest.ts';
import type { ParamDefinition } from './model.ts';
import type { ParamReading } from './param-value.ts';
import { checkParamValue, readEvaluated, readParamValue } from './param-value.ts';

export interface ParamIssue {
  readonly name: string;
  /** `unknown-param`, `missing-param`, `bad-param`, `param-not-in-enum`, `bad-default`. */
  readonly code: string;
  /** A whole sentence that names the parameter. */
  readonly message: string;
}

export interface ParamSources {
  /** The workflow's own parameters. */
  readonly declared: Readonly<Record<string, ParamDefinition>>;
  /** The project's values, by name. Those that the workflow does not declare are passed on as they are. */
  readonly project: Readonly<Record<string, JsonValue>>;
  /** What the start request (or the trigger) gives; text may stand for any type. Never evaluated. */
  readonly start: Readonly<Record<string, JsonValue>>;
  readonly run: RunContext;
}

/**
 * The parameters of one instance: a start value wins, else the workflow's default, else the project's value of that
 * name. With any issue the instance must not start.
 */
export function resolveParams({ declared, project, start, run }: ParamSources): {
  params: JsonObject;
  issues: ParamIssue[];
} {
  const issues: ParamIssue[] = [];
  const resolved = new Map<string, JsonValue>(Object.entries(project));
  for (const name of Object.keys(start))
    if (!Object.hasOwn(declared, name)) issues.push(unknownParam(name, Object.keys(declared)));
  for (const [name, definition] of Object.entries(declared)) {
    const reading = readOne(name, definition, { project, start, run });
    if (reading.ok) resolved.set(name, reading.value);
    else {
      resolved.delete(name);
      issues.push({ name, code: reading.code, message: reading.message });
    }
  }
  return { params: Object.fromEntries(resolved), issues };
}

function unknownParam(name: string, known: readonly string[]): ParamIssue {
  const hint =
    didYouMean(name, known) ??
    (known.length === 0 ? 'the workflow declares no parameters' : `the workflow declares ${known.join(', ')}`);
  return { name, code: 'unknown-param', message: `there is no parameter ${JSON.stringify(name)}: ${hint}` };
}

type NamedReading = { ok: true; value: JsonValue } | { ok: false; code: string; message: string };

function readOne(
  name: string,
  definition: ParamDefinition,
  sources: Pick<ParamSources, 'project' | 'start' | 'run'>,
): NamedReading {
  if (Object.hasOwn(sources.start, name))
    return named(`parameter ${name}`, readParamValue(sources.start[name] ?? null, definition));
  if (definition.default !== undefined) return readDefault(name, definition.default, definition, sources.run);
  if (Object.hasOwn(sources.project, name))
    return named(`the project's value of parameter ${name}`, readParamValue(sources.project[name] ?? null, definition));
  return {
    ok: false,
    code: 'missing-param',
    message: `parameter ${name} (${definition.type}) has no default: give it a value`,
  };
}

function readDefault(name: string, value: JsonValue, definition: ParamDefinition, run: RunContext): NamedReading {
  try {
    return named(`the default of parameter ${name}`, evaluateDefault(value, definition, run));
  } catch (error) {
    if (!(error instanceof ExpressionError || error instanceof NotJson)) throw error;
    return {
      ok: false,
      code: 'bad-default',
      message: `the default of parameter ${name} cannot be evaluated: ${error.message}`,
    };
  }
}

function evaluateDefault(value: JsonValue, definition: ParamDefinition, run: RunContext): ParamReading {
  const scope: Scope = { params: {}, run, tasks: {} };
  if (typeof value === 'string' && hasExpression(value)) {
    const whole = evaluateWhole(value, scope);
    return whole === undefined
      ? readParamValue(renderTemplate(value, scope), definition)
      : readEvaluated(whole, definition);
  }
  const rendered = renderTemplate(value, scope);
  return definition.type === 'json' ? checkParamValue(rendered, definition) : readParamValue(rendered, definition);
}

function named(subject: string, reading: ParamReading): NamedReading {
  return reading.ok ? reading : { ...reading, message: `${subject} ${reading.message}` };
}
