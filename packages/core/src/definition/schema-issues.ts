import type { z } from 'zod';

import type { ValuePath } from '../expression/evaluate.ts';
import { didYouMean } from '../suggest.ts';
import { describe, describeChoice } from './issue-wording.ts';
import type { Report } from './report.ts';
import { knownKeys, knownWords, valueAt } from './schema-lookup.ts';

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
