import type { JsonValue } from '../json.ts';
import type { CompiledExpression } from './compile.ts';
import { compileExpression, evaluateExpression } from './compile.ts';
import { ExpressionError } from './expression-error.ts';
import type { CelValue, Scope } from './scope.ts';
import { fromCel, NotJson } from './scope.ts';
import { hasExpression, parseTemplate } from './template.ts';

/** Compiles an `if`. Throws an ExpressionError, also when the expression can never be a boolean (`not-boolean`). */
export function compileCondition(text: string): CompiledExpression {
  const compiled = compileExpression(text);
  if (compiled.type === 'bool' || compiled.type.startsWith('dyn')) return compiled;
  throw new ExpressionError(
    'not-boolean',
    `a condition must be true or false; this is always of type ${compiled.type}`,
    text,
    0,
  );
}

/** Evaluates an `if`. Throws an ExpressionError, also for a result that is not a boolean. */
export function evaluateCondition(condition: string | CompiledExpression, scope: Scope): boolean {
  const compiled = typeof condition === 'string' ? compileCondition(condition) : condition;
  const result = evaluateExpression(compiled, scope);
  if (typeof result === 'boolean') return result;
  throw new ExpressionError(
    'not-boolean',
    `a condition must be true or false; this is ${JSON.stringify(jsonOf(result, compiled.text))}`,
    compiled.text,
    0,
  );
}

/**
 * Evaluates every `${{ }}` in the strings of a value, at any depth (not in keys). A string that is one expression and
 * nothing else becomes its value, of its type; in other strings the values are put in as text. Throws an ExpressionError.
 */
export function renderTemplate(value: JsonValue, scope: Scope): JsonValue {
  if (typeof value === 'string') return hasExpression(value) ? renderString(value, scope) : value;
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((item) => renderTemplate(item, scope));
  const rendered = Object.entries(value).map(([key, inner]): [string, JsonValue] => [
    key,
    renderTemplate(inner, scope),
  ]);
  return Object.fromEntries(rendered);
}

function renderString(text: string, scope: Scope): JsonValue {
  const parts = parseTemplate(text);
  const [first] = parts;
  if (parts.length === 1 && first?.kind === 'expression') return evaluateToJson(first.text, scope);
  return parts.map((part) => (part.kind === 'text' ? part.text : valueText(evaluateToJson(part.text, scope)))).join('');
}

/** The value of a string that is exactly one `${{ }}`, before it becomes JSON (a time is still a time); undefined when it is another string. */
export function evaluateWhole(text: string, scope: Scope): CelValue | undefined {
  const parts = parseTemplate(text);
  const [first] = parts;
  return parts.length === 1 && first?.kind === 'expression'
    ? evaluateExpression(compileExpression(first.text), scope)
    : undefined;
}

function evaluateToJson(text: string, scope: Scope): JsonValue {
  return jsonOf(evaluateExpression(compileExpression(text), scope), text);
}

function jsonOf(value: CelValue, text: string): JsonValue {
  try {
    return fromCel(value);
  } catch (error) {
    if (error instanceof NotJson) throw new ExpressionError('not-json', error.message, text, 0);
    throw error;
  }
}

/** A value as text, the way it is put into a string or an environment variable: null is empty, objects and lists are JSON. */
export function valueText(value: JsonValue): string {
  if (value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Where a value stands in another: keys and list positions. */
export type ValuePath = readonly (string | number)[];

/** The strings of a value that hold `${{ }}`, at any depth. */
export function* templatesIn(
  value: JsonValue,
  path: ValuePath = [],
): Generator<{ readonly text: string; readonly path: ValuePath }> {
  if (typeof value === 'string') {
    if (hasExpression(value)) yield { text: value, path };
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* templatesIn(item, [...path, index]);
  } else if (value !== null && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) yield* templatesIn(inner, [...path, key]);
  }
}

/** The texts of all expressions in the strings of a value. Throws an ExpressionError for a `${{` without end. */
export function* expressionsIn(value: JsonValue): Generator<string> {
  for (const { text } of templatesIn(value)) {
    for (const part of parseTemplate(text)) if (part.kind === 'expression') yield part.text;
  }
}
