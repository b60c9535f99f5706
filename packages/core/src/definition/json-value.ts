import type { ValuePath } from '../expression/evaluate.ts';
import { textProblem } from '../json.ts';
import { MAX_DEPTH, MAX_VALUES } from './limits.ts';
import type { Report } from './report.ts';

/**
 * Reports everything in a value that a definition cannot hold, with a stack of its own: what JSON lacks, text that cannot be
 * stored, integers that a number cannot hold exactly, `__proto__` keys, cycles and other bottomless nesting. True when the
 * value may be read further.
 */
export function checkJsonValue(root: unknown, report: Report): boolean {
  const stack: { readonly value: unknown; readonly path: ValuePath }[] = [{ value: root, path: [] }];
  let count = 0;
  let sound = true;
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { value, path } = next;
    if (++count > MAX_VALUES) {
      report.add({ code: 'too-large', path: [], message: `a definition has at most ${MAX_VALUES} values` });
      return false;
    }
    if (path.length > MAX_DEPTH) {
      report.add({
        code: 'too-deep',
        path,
        message: `lists and maps may stand at most ${MAX_DEPTH} deep inside each other`,
      });
      return false;
    }
    const problem = problemOf(value);
    if (problem !== undefined) {
      report.add({ ...problem, path });
      sound = false;
    } else if (value !== null && typeof value === 'object') {
      if (Object.hasOwn(value, '__proto__')) {
        report.add({
          code: 'reserved-id',
          path: [...path, '__proto__'],
          atKey: true,
          message: 'the key "__proto__" cannot be used',
        });
        sound = false;
      }
      for (const [key, inner] of Object.entries(value)) {
        const keyProblem = textProblem(key);
        if (keyProblem !== undefined) {
          report.add({ code: 'bad-text', path: [...path, key], atKey: true, message: `the key ${keyProblem}` });
          sound = false;
        }
        if (inner !== undefined && key !== '__proto__')
          stack.push({ value: inner, path: [...path, Array.isArray(value) ? Number(key) : key] });
      }
    }
  }
  return sound;
}

function problemOf(
  value: unknown,
): { readonly code: string; readonly message: string; readonly suggestion?: string } | undefined {
  if (value === null || typeof value === 'boolean') return undefined;
  if (typeof value === 'string') {
    const problem = textProblem(value);
    return problem === undefined ? undefined : { code: 'bad-text', message: `the text ${problem}` };
  }
  if (typeof value === 'number') return numberProblem(value);
  if (typeof value !== 'object') return { code: 'not-json', message: `a ${typeof value} is no JSON value` };
  if (Array.isArray(value)) return undefined;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null
    ? undefined
    : { code: 'not-json', message: 'only plain objects, lists, text, numbers, true, false and null can stand here' };
}

function numberProblem(
  value: number,
): { readonly code: string; readonly message: string; readonly suggestion?: string } | undefined {
  if (!Number.isFinite(value)) return { code: 'not-json', message: `${value} is no JSON value` };
  if (!Number.isInteger(value) || Number.isSafeInteger(value) || Math.abs(value) >= 1e21) return undefined;
  return {
    code: 'imprecise-number',
    message: `an integer of this size cannot be kept exactly (it would become ${value})`,
    suggestion: 'write it in quotes, as text',
  };
}
