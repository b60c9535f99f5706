import type { VerifyReport } from '@keelson/protocol';
import type { Verifier, VerifyOptions } from '@keelson/store';

/** A report names so many violations: after these it is clear that something is wrong. */
const MOST_VIOLATIONS = 1000;

/**
 * Verifies the history against the rows, up to the first thousand violations.
 *
 * @param since an instance's id, or a time (RFC 3339)
 */
export async function verifyReportOf(
  verifier: Verifier,
  { instance, since }: { readonly instance?: string | undefined; readonly since?: string | undefined },
): Promise<VerifyReport> {
  const options: VerifyOptions = {
    instance,
    ...(since === undefined ? {} : /^\d+$/.test(since) ? { sinceId: since } : { sinceTime: since }),
  };
  const report: VerifyReport = { instances: 0, events: 0, violations: [], more: false };
  for await (const { instances, events, violations } of verifier.verify(options)) {
    report.instances += instances;
    report.events += events;
    report.violations.push(...violations);
    if (report.violations.length < MOST_VIOLATIONS) continue;
    report.more = true;
    break;
  }
  return report;
}
