import type { RootFile } from './file-schema.ts';
import type { Report } from './report.ts';

/** Says what the format has and this release stores but does not act on, so that nobody waits for it. */
export function warnOfWhatHasNoEffectYet(root: RootFile, report: Report): void {
  const policy = root.concurrency?.policy ?? 'parallel';
  if (policy !== 'parallel') {
    report.add({
      severity: 'warning',
      code: 'no-effect-yet',
      path: ['concurrency', 'policy'],
      message: `this release runs instances in parallel, not ${policy}`,
    });
  }
}
