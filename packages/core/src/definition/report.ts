import type { ValuePath } from '../expression/evaluate.ts';
import type { DefinitionIssue } from './issue.ts';
import { MAX_ISSUES } from './limits.ts';

export interface Finding {
  readonly severity?: 'error' | 'warning';
  readonly code: string;
  readonly path: ValuePath;
  readonly message: string;
  readonly suggestion?: string | undefined;
  /** Point at the key rather than at its value. */
  readonly atKey?: boolean;
}

export interface Position {
  readonly line: number;
  readonly column: number;
}

/** Where a path stands in the text; absent when there is no text. */
export type Locate = (path: ValuePath, atKey: boolean) => Position;

/** Collects what is wrong, in the order of the text. */
export interface Report {
  add(finding: Finding): void;
  /** Whether an error (not a warning) was added so far. */
  failed(): boolean;
  issues(): DefinitionIssue[];
}

export function createReport(locate?: Locate): Report {
  const issues: DefinitionIssue[] = [];
  let errors = 0;
  let left = 0;
  return {
    add(finding) {
      if (finding.severity !== 'warning') errors++;
      if (issues.length >= MAX_ISSUES) left++;
      else issues.push(toIssue(finding, locate));
    },
    failed: () => errors > 0,
    issues() {
      const sorted = locate
        ? issues.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0))
        : [...issues];
      if (left > 0)
        sorted.push(
          toIssue({ code: 'more-issues', path: [], message: `and ${left} more issues, left out here` }, locate),
        );
      return sorted;
    },
  };
}

function toIssue(
  { severity = 'error', code, path, message, suggestion, atKey = false }: Finding,
  locate: Locate | undefined,
): DefinitionIssue {
  return {
    severity,
    code,
    message,
    ...(suggestion !== undefined && { suggestion }),
    path: pathText(path),
    ...locate?.(path, atKey),
  };
}

/** `tasks.load.needs[1]`; a key that is no identifier stands in brackets and quotes. */
export function pathText(path: ValuePath): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    if (!/^[A-Za-z_$][\w$-]*$/.test(key)) return `${text}[${JSON.stringify(key)}]`;
    return text === '' ? key : `${text}.${key}`;
  }, '');
}
