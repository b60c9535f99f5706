import type { RestDefinitionIssue } from '@keelson/protocol';
import type { Paint } from './terminal.ts';

export interface IssueOptions {
  readonly paint: Paint;
  /** The text of a definition file by the name that issues give it; undefined when there is none to show. */
  readonly sourceOf: (file: string) => string | undefined;
  /** Show the line itself and a caret under the place. */
  readonly excerpt: boolean;
}

const WIDEST_EXCERPT = 120;

/** `file:line:column: error: words (code at path)`, the line with a caret, and what to do. */
export function issueLines(issue: RestDefinitionIssue, { paint, sourceOf, excerpt }: IssueOptions): string[] {
  const place = [issue.file, issue.line, issue.line === undefined ? undefined : issue.column]
    .filter((part) => part !== undefined)
    .join(':');
  const severity = paint(issue.severity === 'error' ? ['bold', 'red'] : ['bold', 'yellow'], issue.severity);
  const at = issue.path === '' ? issue.code : `${issue.code} at ${issue.path}`;
  const lines = [
    `${place === '' ? '' : `${paint('bold', place)}: `}${severity}: ${issue.message} ${paint('dim', `(${at})`)}`,
  ];
  if (excerpt) lines.push(...excerptLines(issue, sourceOf, paint));
  if (issue.suggestion !== undefined) lines.push(`  ${paint('cyan', 'help:')} ${issue.suggestion}`);
  return lines;
}

/** What was found, in one line: `2 errors, 1 warning in 3 files`. */
export function issueSummary(issues: readonly RestDefinitionIssue[]): string {
  const count = (severity: string) => issues.filter((issue) => issue.severity === severity).length;
  const word = (number: number, noun: string) => (number === 0 ? [] : [`${number} ${noun}${number === 1 ? '' : 's'}`]);
  return [...word(count('error'), 'error'), ...word(count('warning'), 'warning')].join(', ');
}

function excerptLines(issue: RestDefinitionIssue, sourceOf: IssueOptions['sourceOf'], paint: Paint): string[] {
  if (issue.file === undefined || issue.line === undefined) return [];
  const line = sourceOf(issue.file)?.split(/\r\n|\n|\r/)[issue.line - 1];
  if (line === undefined || line.trim() === '') return [];
  const column = Math.min(Math.max(issue.column ?? 1, 1), line.length + 1);
  // A long line (JSON on one line) is shown around the place.
  const from = column <= WIDEST_EXCERPT ? 0 : column - WIDEST_EXCERPT / 2;
  const shown = line.slice(from, from + WIDEST_EXCERPT);
  const before = line.slice(from, column - 1);
  const gutter = `${issue.line} | `;
  return [
    `  ${paint('dim', gutter)}${visible(shown)}`,
    `  ${' '.repeat(gutter.length)}${caretPadding(before)}${paint('red', '^')}`,
  ];
}

/** Tabs stay tabs, so that the caret stands under its place however wide they are. */
function caretPadding(before: string): string {
  return Array.from(before, (char) => (char === '\t' ? '\t' : isWide(char) ? '  ' : ' ')).join('');
}

function isWide(char: string): boolean {
  return /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
    char,
  );
}

function visible(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '�');
}
