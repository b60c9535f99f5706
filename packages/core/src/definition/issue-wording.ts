import type { z } from 'zod';

import { didYouMean } from '../suggest.ts';
import { PATTERN_MEANINGS } from './file-schema.ts';

/** The words for one mistake. */
export interface Described {
  readonly code: string;
  readonly message: string;
  readonly suggestion?: string | undefined;
}

/** What the schema's issue means to a person. */
export function describe(issue: z.core.$ZodIssue, value: unknown): Described {
  switch (issue.code) {
    case 'invalid_type':
      return {
        code: 'bad-type',
        message: `must be ${typeName(issue.expected)}, not ${shown(value)}`,
        suggestion: typeHint(issue.expected, value, issue.path.at(-1)),
      };
    case 'invalid_value':
      return describeChoice(issue.values.map(String), value);
    case 'invalid_format':
      return describeFormat(issue.format === 'regex' ? String(issue.pattern) : undefined, issue.message, value);
    case 'too_small':
      return {
        code: 'out-of-range',
        message: `must ${bound(issue.origin, 'at least', Number(issue.minimum))}, not ${shown(value)}`,
      };
    case 'too_big':
      return {
        code: 'out-of-range',
        message: `must ${bound(issue.origin, 'at most', Number(issue.maximum))}, not ${shown(value)}`,
      };
    case 'invalid_union':
      return { code: 'bad-type', message: unionMessage(issue, value), suggestion: unionHint(issue, value) };
    default:
      return { code: 'bad-value', message: sentence(issue.message) };
  }
}

export function describeChoice(words: readonly string[], value: unknown): Described {
  return {
    code: 'bad-value',
    message: `must be ${oneOf(words)}, not ${shown(value)}`,
    suggestion: typeof value === 'string' ? didYouMean(value, words) : undefined,
  };
}

function bound(origin: string, side: string, limit: number): string {
  if (origin === 'array' || origin === 'set') return `have ${side} ${limit} ${limit === 1 ? 'entry' : 'entries'}`;
  return origin === 'string'
    ? `have ${side} ${limit} ${limit === 1 ? 'character' : 'characters'}`
    : `be ${side} ${limit}`;
}

function describeFormat(pattern: string | undefined, message: string, value: unknown): Described {
  const meaning = pattern === undefined ? undefined : PATTERN_MEANINGS.get(pattern);
  if (meaning === undefined) return { code: 'bad-value', message: sentence(message) };
  return {
    code: meaning.code,
    message: `must be ${meaning.wanted}, not ${shown(value)}`,
    suggestion: meaning.code === 'bad-name' ? nameHint(value) : undefined,
  };
}

function nameHint(value: unknown): string | undefined {
  const name = String(value)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 64);
  return name === '' ? undefined : `use ${JSON.stringify(name)}`;
}

function unionChoices(issue: z.core.$ZodIssueInvalidUnion): string[] {
  return issue.errors.flat().flatMap((inner) => (inner.code === 'invalid_value' ? inner.values.map(String) : []));
}

function unionHint(issue: z.core.$ZodIssueInvalidUnion, value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const takesList = issue.errors.flat().some((inner) => inner.code === 'invalid_type' && inner.expected === 'array');
  return takesList ? `write a list: [${value}]` : didYouMean(value, unionChoices(issue));
}

function unionMessage(issue: z.core.$ZodIssueInvalidUnion, value: unknown): string {
  const wanted = new Set<string>();
  for (const inner of issue.errors.flat()) {
    if (inner.code === 'invalid_type') wanted.add(typeName(inner.expected));
    else if (inner.code === 'invalid_value') wanted.add(oneOf(inner.values.map(String)));
    else if (inner.message !== '') wanted.add(sentence(inner.message).replace(/^must be /, ''));
  }
  return `must be ${[...wanted].join(' or ') || 'something else'}, not ${shown(value)}`;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
  record: 'a map',
  null: 'null',
};

function typeName(expected: string): string {
  return TYPE_NAMES[expected] ?? expected;
}

const DURATION_KEYS: readonly unknown[] = ['timeout', 'delay', 'maxDelay'];

function typeHint(expected: string, value: unknown, key: PropertyKey | undefined): string | undefined {
  if (typeof value === 'number' && DURATION_KEYS.includes(key)) return `say the unit: ${value}s`;
  if (key === 'maxFailed' && typeof value === 'string' && value.trim().endsWith('%'))
    return 'say how many subtasks: how many there are is only known when the broadcast starts';
  if (expected === 'boolean' && typeof value === 'string')
    return { yes: 'write true', on: 'write true', no: 'write false', off: 'write false' }[value.toLowerCase()];
  if (expected === 'string' && (typeof value === 'number' || typeof value === 'boolean'))
    return `put it in quotes: "${value}"`;
  if (key === 'concurrency' && typeof value === 'string') return `concurrency: { policy: ${value} }`;
  if (key === 'concurrency' && typeof value === 'number')
    return `concurrency: { policy: serial-wait, limit: ${value} }`;
  if (expected === 'array' && typeof value === 'string') return `write a list: [${value}]`;
  return undefined;
}

function oneOf(values: readonly string[]): string {
  return values.length === 1 ? JSON.stringify(values[0]) : `one of ${values.join(', ')}`;
}

function sentence(message: string): string {
  return message
    .replace(/^Invalid input: /, '')
    .replace(/^(Too (?:small|big): )?expected /, 'must be ')
    .replace(/^Invalid input$/, 'does not fit');
}

/** A short form of a value, for a message. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (value !== null && typeof value === 'object') return 'a map';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
