import type { ValuePath } from '../expression/evaluate.ts';
import { TASK_ID_PATTERN } from './file-schema.ts';
import type { Report } from './report.ts';

/** Checks the id of a task or the name of a parameter, both of which expressions use. True when it is good. */
export function checkIdentifier(name: string, what: string, path: ValuePath, report: Report): boolean {
  if (!TASK_ID_PATTERN.test(name)) {
    const fixed = name
      .replace(/[^A-Za-z0-9_]+/g, '_')
      .replace(/^(?=\d)/, '_')
      .slice(0, 64);
    report.add({
      code: 'bad-id',
      path,
      atKey: true,
      message: `${JSON.stringify(name)} cannot name ${what}: letters, digits and "_" only, no digit first, at most 64`,
      suggestion: TASK_ID_PATTERN.test(fixed) ? `use ${JSON.stringify(fixed)}` : undefined,
    });
    return false;
  }
  if (name in Object.prototype) {
    report.add({
      code: 'reserved-id',
      path,
      atKey: true,
      message: `${JSON.stringify(name)} is a reserved word and cannot name ${what}`,
      suggestion: `use ${JSON.stringify(`${name}_`)}`,
    });
    return false;
  }
  return true;
}
