import { Temporal } from 'temporal-polyfill';

import type { CelValue } from '../expression/scope.ts';
import { fromCel } from '../expression/scope.ts';
import type { JsonValue } from '../json.ts';
import { textProblem } from '../json.ts';
import { parseDate, parseTime, zonedTimeText } from '../time/zoned.ts';
import { canonicalJson } from './canonical-json.ts';
import { MAX_DEPTH } from './limits.ts';
import type { ParamDefinition, ParamType } from './model.ts';

export type ParamReading =
  | { readonly ok: true; readonly value: JsonValue }
  | { readonly ok: false; readonly code: 'bad-param' | 'param-not-in-enum'; readonly message: string };

const WANTED: Readonly<Record<ParamType, string>> = {
  string: 'text',
  integer: 'a whole number between -(2^53 - 1) and 2^53 - 1',
  number: 'a number',
  boolean: 'true or false',
  date: 'a date (YYYY-MM-DD)',
  datetime: 'a time (RFC 3339 with an offset, such as 2026-01-31T02:30:00+08:00)',
  json: 'JSON',
};

/** Checks a value that is written in a definition: its type must be right as it stands. */
export function checkParamValue(value: JsonValue, definition: ParamDefinition): ParamReading {
  return checked(strictValue(value, definition.type), value, definition);
}

/** Reads a value from outside, where text may stand for any type: `"3"` is an integer, JSON text is parsed. */
export function readParamValue(value: JsonValue, definition: ParamDefinition): ParamReading {
  const read = typeof value === 'string' ? fromText(value, definition.type) : strictValue(value, definition.type);
  return checked(read, value, definition);
}

/** Reads the result of a default's expression: a time becomes the local date or RFC 3339 text, as the type asks. */
export function readEvaluated(value: CelValue, definition: ParamDefinition): ParamReading {
  if (value instanceof Temporal.ZonedDateTime) {
    return readParamValue(
      definition.type === 'date' ? value.toPlainDate().toString() : zonedTimeText(value),
      definition,
    );
  }
  const json = fromCel(value);
  return definition.type === 'json' ? checked(json, json, definition) : readParamValue(json, definition);
}

function checked(
  read: JsonValue | undefined,
  given: JsonValue,
  { type, enum: allowed }: ParamDefinition,
): ParamReading {
  if (read === undefined)
    return { ok: false, code: 'bad-param', message: `must be ${WANTED[type]}, not ${shown(given)}` };
  const unstorable = storageProblem(read);
  if (unstorable !== undefined) return { ok: false, code: 'bad-param', message: unstorable };
  if (allowed !== undefined && !allowed.some((one) => sameJson(one, read))) {
    return {
      ok: false,
      code: 'param-not-in-enum',
      message: `must be one of ${allowed.map((one) => JSON.stringify(one)).join(', ')}, not ${shown(read)}`,
    };
  }
  return { ok: true, value: read };
}

/** Why a value cannot be stored; with a stack of its own, because JSON text from outside may be bottomless. */
function storageProblem(root: JsonValue): string | undefined {
  const stack: { readonly value: JsonValue; readonly depth: number }[] = [{ value: root, depth: 0 }];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { value, depth } = next;
    if (typeof value === 'string') {
      const problem = textProblem(value);
      if (problem !== undefined) return problem;
    } else if (value !== null && typeof value === 'object') {
      if (depth === MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} levels`;
      for (const [key, inner] of Object.entries(value)) {
        const problem = textProblem(key);
        if (problem !== undefined) return problem;
        stack.push({ value: inner, depth: depth + 1 });
      }
    }
  }
  return undefined;
}

function strictValue(value: JsonValue, type: ParamType): JsonValue | undefined {
  switch (type) {
    case 'string':
      return typeof value === 'string' ? value : undefined;
    case 'integer':
      return Number.isSafeInteger(value) ? value : undefined;
    case 'number':
      return typeof value === 'number' ? value : undefined;
    case 'boolean':
      return typeof value === 'boolean' ? value : undefined;
    case 'date':
      return typeof value === 'string' && parseDate(value) ? value : undefined;
    case 'datetime':
      return typeof value === 'string' && parseTime(value, 'UTC') ? value : undefined;
    case 'json':
      return value;
  }
}

function fromText(text: string, type: ParamType): JsonValue | undefined {
  const trimmed = text.trim();
  switch (type) {
    case 'integer':
      return /^[+-]?\d+$/.test(trimmed) ? strictValue(Number(trimmed), type) : undefined;
    case 'number':
      return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(trimmed) && Number.isFinite(Number(trimmed))
        ? Number(trimmed)
        : undefined;
    case 'boolean':
      return trimmed === 'true' ? true : trimmed === 'false' ? false : undefined;
    case 'json':
      return parsedJson(text);
    case 'date':
    case 'datetime':
      return strictValue(trimmed, type);
    case 'string':
      return text;
  }
}

function parsedJson(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
}

function shown(value: JsonValue): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function sameJson(left: JsonValue, right: JsonValue): boolean {
  return (
    left === right ||
    (typeof left === 'object' && typeof right === 'object' && canonicalJson(left) === canonicalJson(right))
  );
}
