import { NAME_PATTERN, WORKFLOW_REF_PATTERN } from './file-schema.ts';
import type { Report } from './report.ts';

/**
 * The workflows that this one follows in a backfill, as `project/name` in the order of the file; a bare name is one of the same project.
 * Whether they exist, and whether they follow each other in a circle, can only be said where all of them are known.
 */
export function readDependsOn(
  written: readonly string[],
  { project, name }: { readonly project: string; readonly name: string },
  report: Report,
): string[] {
  const found = new Set<string>();
  for (const [index, entry] of written.entries()) {
    // The schema has said what is wrong with it.
    if (!WORKFLOW_REF_PATTERN.test(entry)) continue;
    const ref = NAME_PATTERN.test(entry) ? `${project}/${entry}` : entry;
    const path = ['dependsOn', index];
    if (ref === `${project}/${name}`)
      report.add({ code: 'dependency-cycle', path, message: `the workflow ${ref} cannot depend on itself` });
    else if (found.has(ref))
      report.add({
        code: 'duplicate-dependency',
        path,
        message: `${ref} is named twice`,
        suggestion: 'take one away',
      });
    found.add(ref);
  }
  return [...found];
}
