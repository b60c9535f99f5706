import type { z } from 'zod';

import type { ValuePath } from '../expression/evaluate.ts';
import { didYouMean } from '../suggest.ts';
import { PATTERN_MEANINGS } from './file-schema.ts';
import type { Report } from './report.ts';

type ZodIssue = z.core.$ZodIssue;

/**
 * Reads a value by a schema. On success the schema's output; else undefined, and every mistake is in the report with a
 * path below `base`.
 */
export function readBySchema<Output>(
  schema: z.ZodType<Output>,
  value: unknown,
  base: ValuePath,
  report: Report,
): Output | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  for (const issue of result.error.issues.flatMap(branchIssues)) addIssue(issue, schema, value, base, report);
  return undefined;
}

/** Of a union, the alternative that came furthest: its mistakes are the ones that the author made. */
function branchIssues(issue: ZodIssue): ZodIssue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue];
  const branches = issue.errors.map((branch) =>
    branch.flatMap((inner) => branchIssues({ ...inner, path: [...issue.path, ...inner.path] })),
  );
  const best = branches.toSorted((a, b) => reach(b) - reach(a))[0] ?? [];
  if (reach(best) > issue.path.length) return best;
  return [{ code: 'invalid_union', path: issue.path, message: issue.message, errors: branches }];
}

function reach(issues: readonly ZodIssue[]): number {
  const deepest = Math.max(0, ...issues.map((issue) => issue.path.length));
  // Same place, but the type was right and only the content is wrong: further than a wrong type.
  return deepest + (issues.every((issue) => issue.code !== 'invalid_type') ? 0.5 : 0);
}

function addIssue(issue: ZodIssue, schema: z.ZodType, root: unknown, base: ValuePath, report: Report): void {
  const inner = issue.path.map((key) => (typeof key === 'symbol' ? String(key) : key));
  const path = [...base, ...inner];
  const value = valueAt(root, inner);
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, inner);
    for (const key of issue.keys)
      report.add({
        code: 'unknown-key',
        path: [...path, key],
        atKey: true,
        message: `there is no key ${JSON.stringify(key)} here`,
        suggestion: keyHint(key, known),
      });
    return;
  }
  const lastKey = inner.at(-1);
  if (value === undefined && lastKey !== undefined) {
    report.add({ code: 'missing-key', path, message: `the key ${JSON.stringify(lastKey)} is missing` });
    return;
  }
  // "One of these words, or an expression": the words are what the author was after.
  const words = issue.code === 'invalid_format' ? knownWords(schema, inner) : [];
  report.add({ path, ...(words.length > 0 ? describeChoice(words, value) : describe(issue, value)) });
}

function keyHint(key: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  return didYouMean(key, known) ?? `the keys here are ${known.join(', ')}`;
}

interface Described {
  readonly code: string;
  readonly message: string;
  readonly suggestion?: string | undefined;
}

function describe(issue: ZodIssue, value: unknown): Described {
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

function describeChoice(words: readonly string[], value: unknown): Described {
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
  if (expected === 'boolean' && typeof value === 'string')
    return { yes: 'write true', on: 'write true', no: 'write false', off: 'write false' }[value.toLowerCase()];
  if (expected === 'string' && (typeof value === 'number' || typeof value === 'boolean'))
    return `put it in quotes: "${value}"`;
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

export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (value !== null && typeof value === 'object') return 'a map';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function valueAt(root: unknown, path: ValuePath): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      value !== null && typeof value === 'object' && Object.hasOwn(value, key)
        ? (value as Record<string | number, unknown>)[key]
        : undefined,
    root,
  );
}

/** The schemas that apply at a path, through unions, optional and wrapped schemas. */
function schemasAt(schema: z.core.$ZodType, path: ValuePath): z.core.$ZodType[] {
  const [key, ...rest] = path;
  if (key === undefined) return unwrapped(schema);
  return unwrapped(schema).flatMap((option) => {
    const def = (option as z.core.$ZodTypes)._zod.def;
    if (def.type === 'object') return Object.hasOwn(def.shape, key) ? schemasAt(def.shape[key] as z.core.$ZodType, rest) : [];
    if (def.type === 'record') return schemasAt(def.valueType, rest);
    return def.type === 'array' ? schemasAt(def.element, rest) : [];
  });
}

function knownKeys(schema: z.core.$ZodType, path: ValuePath): string[] {
  const keys = schemasAt(schema, path).flatMap((option) => {
    const def = (option as z.core.$ZodTypes)._zod.def;
    return def.type === 'object' ? Object.keys(def.shape) : [];
  });
  return [...new Set(keys)];
}

/** The words that may stand at a path, where the schema lists them. */
function knownWords(schema: z.core.$ZodType, path: ValuePath): string[] {
  return schemasAt(schema, path).flatMap((option) => {
    const def = (option as z.core.$ZodTypes)._zod.def;
    return def.type === 'enum' ? Object.values(def.entries).map(String) : [];
  });
}

function unwrapped(schema: z.core.$ZodType): z.core.$ZodType[] {
  const def = schema._zod.def;
  switch (def.type) {
    case 'union':
      return (schema as z.core.$ZodUnion)._zod.def.options.flatMap(unwrapped);
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'readonly':
    case 'catch':
    case 'nonoptional':
      return unwrapped((schema as z.core.$ZodOptional)._zod.def.innerType);
    case 'pipe':
      return unwrapped((schema as z.core.$ZodPipe)._zod.def.in);
    case 'lazy':
      return unwrapped((schema as z.core.$ZodLazy)._zod.def.getter());
    case 'intersection': {
      const { left, right } = (schema as z.core.$ZodIntersection)._zod.def;
      return [...unwrapped(left), ...unwrapped(right)];
    }
    default:
      return [schema];
  }
}
