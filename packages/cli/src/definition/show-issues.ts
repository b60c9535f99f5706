import type { RestDefinitionIssue } from '@keelson/protocol';
import { issueLines, issueSummary } from '../terminal/issue-lines.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { painter, remark } from '../terminal/terminal.ts';
import type { Prepared } from './prepare.ts';

/** Shows issues on standard error, on a terminal with the line and a caret, and counts them at the end. */
export function showIssues(
  terminal: Terminal,
  { sources }: Pick<Prepared, 'sources'>,
  issues: readonly RestDefinitionIssue[],
): void {
  if (issues.length === 0) return;
  const paint = painter(terminal.stderr, terminal.env);
  const excerpt = terminal.stderr.isTTY === true;
  for (const issue of issues)
    remark(terminal, issueLines(issue, { paint, sourceOf: (file) => sources.get(file), excerpt }).join('\n'));
  remark(terminal, issueSummary(issues));
}

const MOST_NAMED = 5;

/** A definition with its `tasks` misspelt must not be passed over in silence. */
export function showSkipped(terminal: Terminal, skipped: readonly string[]): void {
  if (skipped.length === 0) return;
  const named = skipped.slice(0, MOST_NAMED).join(', ');
  const more = skipped.length > MOST_NAMED ? ` and ${skipped.length - MOST_NAMED} more` : '';
  remark(terminal, `skipped, as no workflow is defined there: ${named}${more}`);
}
