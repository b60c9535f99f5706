import type { ASTNode, ParseResult } from '@marcbachmann/cel-js';
import { EvaluationError, ParseError, TypeError as CelTypeError } from '@marcbachmann/cel-js';

import { didYouMean } from '../suggest.ts';
import type { CelValue, Scope } from './scope.ts';
import { toCel } from './scope.ts';
import { environment, withZone } from './environment.ts';
import { ExpressionError } from './expression-error.ts';
import type { ExpressionRefs, ExpressionShape } from './references.ts';
import { analyse } from './references.ts';

/** A parsed and checked expression; immutable, shared by text. */
export interface CompiledExpression {
  readonly text: string;
  readonly refs: ExpressionRefs;
  /** The static type as CEL names it: `bool`, `string`, `int`, `time`, … or `dyn` when only evaluation can tell. */
  readonly type: string;
  /** @internal */
  readonly program: ParseResult;
  /** @internal */
  readonly shape: ExpressionShape;
}

export const MAX_EXPRESSION_LENGTH = 4_096;
const MAX_LOOP_STEPS = 5_000_000;
const MAX_CACHED = 20_000;
const cache = new Map<string, CompiledExpression>();

/** Parses and checks one expression (the inside of `${{ }}`, or a whole `if`). Throws an ExpressionError. */
export function compileExpression(text: string): CompiledExpression {
  const cached = cache.get(text);
  if (cached) return cached;
  const compiled = compileFresh(text);
  if (cache.size >= MAX_CACHED) cache.clear();
  cache.set(text, compiled);
  return compiled;
}

function compileFresh(text: string): CompiledExpression {
  if (text.length > MAX_EXPRESSION_LENGTH) {
    throw new ExpressionError(
      'expression-too-long',
      `an expression has at most ${MAX_EXPRESSION_LENGTH} characters; this one has ${text.length}`,
      text,
      0,
    );
  }
  if (text.trim() === '') throw new ExpressionError('empty-expression', 'the expression is empty', text, 0);
  const program = translated(text, 'expression-syntax', () => environment.parse(text));
  const shape = analyse(program.ast, text);
  const checked = program.check();
  if (checked.error !== undefined) throw translate(checked.error, text, 'expression-type');
  return { text, refs: shape.refs, type: checked.type ?? 'dyn', program, shape };
}

/** The names that an expression reads. Throws an ExpressionError for one that does not compile. */
export function expressionRefs(text: string): ExpressionRefs {
  return compileExpression(text).refs;
}

/** Evaluates to a value of the expression language; only what the expression reads is converted. Throws an ExpressionError. */
export function evaluateExpression(compiled: CompiledExpression, scope: Scope): CelValue {
  const context = contextFor(compiled, scope);
  const result: unknown = withZone(scope.run.time.timeZoneId, () =>
    translated(compiled.text, 'evaluation-failed', () => compiled.program(context) as unknown, scope),
  );
  return result as CelValue;
}

function contextFor({ text, refs, shape }: CompiledExpression, scope: Scope): Record<string, unknown> {
  const params = refs.allParams ? toCel(scope.params) : pick(refs.params, scope.params, toCel);
  const tasks = pick(
    refs.tasks,
    scope.tasks,
    (task) =>
      new Map<string, CelValue>([
        ['state', task.state],
        ['outputs', toCel(task.outputs)],
      ]),
  );
  const secrets = pick(refs.secrets, scope.secrets ?? {}, (secret) => secret);
  const run = new Map<string, CelValue>([
    ['id', scope.run.id],
    ['workflow', scope.run.workflow],
    ['project', scope.run.project],
    ['time', scope.run.time],
  ]);
  if (shape.loopDepth > 1) refuseCostlyLoops(text, shape, [params, tasks, secrets]);
  return { params, tasks, secrets, run };
}

function pick<T>(
  names: readonly string[],
  source: Readonly<Record<string, T>>,
  convert: (value: T) => CelValue,
): Map<string, CelValue> {
  const picked = new Map<string, CelValue>();
  for (const name of names) if (Object.hasOwn(source, name)) picked.set(name, convert(source[name] as T));
  return picked;
}

/** Loops in loops over large outputs could hold up the process that evaluates; the work is bounded before it starts. */
function refuseCostlyLoops(text: string, shape: ExpressionShape, values: readonly CelValue[]): void {
  const largest = Math.max(1, ...values.map((value) => largestCollection(value, shape.usesSplit)));
  if (largest ** shape.loopDepth <= MAX_LOOP_STEPS) return;
  throw new ExpressionError(
    'expression-too-costly',
    `loops ${shape.loopDepth} deep over ${largest} elements are too much work: do this in a task`,
    text,
    0,
  );
}

function largestCollection(value: CelValue, countText: boolean): number {
  if (typeof value === 'string') return countText ? value.length : 0;
  const items = Array.isArray(value) ? value : value instanceof Map ? [...value.values()] : [];
  return items.reduce<number>((largest, item) => Math.max(largest, largestCollection(item, countText)), items.length);
}

function translated<T>(text: string, code: string, work: () => T, scope?: Scope): T {
  try {
    return work();
  } catch (error) {
    throw translate(error, text, code, scope);
  }
}

function translate(error: unknown, text: string, code: string, scope?: Scope): ExpressionError {
  if (error instanceof ExpressionError) return error;
  if (!(error instanceof ParseError || error instanceof EvaluationError || error instanceof CelTypeError)) {
    return new ExpressionError(code, error instanceof Error ? error.message : String(error), text, 0);
  }
  const position = error.range?.start ?? 0;
  if (error.code === 'no_such_key') return missingValue(error, text, position, scope);
  if (error.code === 'no_such_overload' || error.code === 'no_matching_overload') {
    return new ExpressionError(
      'expression-type',
      error.summary.replace('dyn<', '').replace('>', ''),
      text,
      position,
      conversionHint(error.summary),
    );
  }
  const known = {
    heterogeneous_list_element: 'expression-type',
    invalid_condition_type: 'expression-type',
    invalid_logical_operand: 'expression-type',
    limit_exceeded: 'expression-too-long',
    division_by_zero: 'division-by-zero',
    index_out_of_bounds: 'missing-value',
  }[error.code];
  return new ExpressionError(known ?? code, readable(error.summary), text, position);
}

function readable(summary: string): string {
  return summary.replace('Unexpected token: EOF', 'the expression ends too early').replace(/^No such key: /, '');
}

function conversionHint(summary: string): string | undefined {
  if (/string|int|double/.test(summary) && / \+ /.test(summary))
    return 'convert first: string(x) + "…", int(x) or double(x)';
  return undefined;
}

/** `params.dya` → "params.dya does not exist", with what is there. */
function missingValue(
  error: ParseError | EvaluationError | CelTypeError,
  text: string,
  position: number,
  scope: Scope | undefined,
): ExpressionError {
  const node = error.node as ASTNode | undefined;
  const key = error.summary.replace('No such key: ', '');
  if (node === undefined || !(node.op === '.' || node.op === '[]'))
    return new ExpressionError('missing-value', `${JSON.stringify(key)} does not exist`, text, position);
  const owner = text.slice(node.args[0].start, node.args[0].end);
  const known = scope === undefined ? [] : keysOf(node.args[0], scope);
  const there =
    known.length === 0
      ? `${owner} has nothing in it, or nothing of that kind`
      : `${owner} has ${known.slice(0, 10).join(', ')}${known.length > 10 ? ', …' : ''}`;
  return new ExpressionError(
    'missing-value',
    `${owner}.${key} does not exist: ${there}`,
    text,
    node.start,
    didYouMean(key, known) ?? `ask first with has(${owner}.${key})`,
  );
}

/** The names that stand in `params`, `tasks`, `secrets` (names only) or in a task's outputs. */
function keysOf(node: ASTNode, scope: Scope): string[] {
  if (node.op === 'id') {
    if (node.args === 'params') return Object.keys(scope.params);
    if (node.args === 'tasks') return Object.keys(scope.tasks);
    return node.args === 'secrets' ? Object.keys(scope.secrets ?? {}) : [];
  }
  if (node.op !== '.' || node.args[1] !== 'outputs') return [];
  const task = node.args[0];
  if (task.op !== '.' || task.args[0].op !== 'id' || task.args[0].args !== 'tasks') return [];
  const outputs = Object.hasOwn(scope.tasks, task.args[1]) ? scope.tasks[task.args[1]]?.outputs : undefined;
  return Object.keys(outputs ?? {});
}
