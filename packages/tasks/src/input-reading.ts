/**
 * An input is read twice: as its author wrote it, where a `${{ }}` string may stand for a value of any kind, and as the
 * worker gets it, rendered, where only the value itself will do. A task type writes its fields once, as a function of
 * the rule for such a field, and so both readings stay the same.
 */
import type { JsonObject } from '@keelson/core';
import { z } from 'zod';
import { failed } from './failure.ts';
import type { TaskResult } from './task-type.ts';

export type FieldRule<Stand> = <T>(schema: z.ZodType<T>) => z.ZodType<T | Stand>;

const expressionText = z
  .string()
  .regex(/\$\{\{[\s\S]*\}\}/, 'must be a value of this kind, or an expression such as ${{ params.x }}')
  .describe('An expression in ${{ }}; its value must be of the kind of this field.');

/** As the author writes it: the value, or a string that holds an expression. */
export const authored: FieldRule<string> = (schema) => z.union([schema, expressionText]);

/** As the worker gets it: the value. */
export const rendered: FieldRule<never> = (schema) => schema;

/** What becomes text anyway: a whole-value expression keeps its type, so that a number or a boolean may arrive. */
export const textLike = z.union([z.string(), z.number(), z.boolean()], 'must be a text, a number, true or false');

/** Whether a text still holds an expression: its form can be checked only once it is rendered. */
export function holdsExpression(text: string): boolean {
  return text.includes('${{');
}

export type InputReading<T> =
  | { readonly ok: true; readonly input: T }
  | { readonly ok: false; readonly result: TaskResult };

/** The worker's last check of a rendered input. The failure (`bad-input`) names each path that is wrong. */
export function readInput<T>(schema: z.ZodType<T>, input: JsonObject): InputReading<T> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return { ok: true, input: parsed.data };
  const problems = parsed.error.issues.map((issue) => `${pathText(issue.path)}: ${issue.message}`);
  return { ok: false, result: failed('bad-input', `the task's input does not fit: ${problems.join('; ')}`) };
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => text + (typeof key === 'number' ? `[${key}]` : `.${String(key)}`), 'with');
}
