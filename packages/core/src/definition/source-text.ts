import type { Document } from 'yaml';
import { LineCounter, parseDocument } from 'yaml';

import type { ValuePath } from '../expression/evaluate.ts';
import type { DefinitionIssue } from './issue.ts';
import { MAX_DEFINITION_BYTES } from './limits.ts';
import type { Locate, Position } from './report.ts';
import { createFinder } from './source-finder.ts';
import { inspect, tagProblem } from './source-inspection.ts';

export interface SourceText {
  /** The parsed value; absent when the text cannot be read at all. */
  readonly value?: unknown;
  readonly issues: readonly DefinitionIssue[];
  readonly locate: Locate;
  /** A scalar as it is written: `010` where the value is the number 10. */
  readonly writtenAt: (path: ValuePath) => string | undefined;
}

const START: Position = { line: 1, column: 1 };
const MAX_SYNTAX_ISSUES = 20;
/** The parser's measure of alias uses times the aliases within; what it lets pass is counted again value by value. */
const MAX_ALIASED = 100_000;
const TOO_DEEP = 'lists and maps stand too deep inside each other';

/** Reads YAML 1.2 or JSON and remembers where everything stands. Never throws. */
export function readSourceText(text: string): SourceText {
  const unread = (code: string, message: string): SourceText => ({
    issues: [{ severity: 'error', code, message, path: '', ...START }],
    locate: () => START,
    writtenAt: () => undefined,
  });
  if (
    text.length > MAX_DEFINITION_BYTES ||
    (text.length * 3 > MAX_DEFINITION_BYTES && new TextEncoder().encode(text).length > MAX_DEFINITION_BYTES)
  ) {
    return unread('too-large', `a definition has at most ${MAX_DEFINITION_BYTES / 1024 / 1024} MiB of text`);
  }
  try {
    return readDocument(text);
  } catch (error) {
    if (error instanceof RangeError) return unread('too-deep', TOO_DEEP);
    return unread('yaml-syntax', error instanceof Error ? error.message : String(error));
  }
}

function readDocument(text: string): SourceText {
  const lines = new LineCounter();
  // Its own check for duplicate keys is quadratic; ours is below.
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    merge: true,
    logLevel: 'error',
  });
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return line === 0 ? START : { line, column: col };
  };
  const issues = syntaxIssues(document, at);
  const { anchors, tagged, aliases } = inspect(document, text, at, issues);
  for (const warning of document.warnings) {
    if (warning.code === 'TAG_RESOLVE_FAILED' && !tagged.has(warning.pos[0]))
      issues.push(tagProblem(text, warning.pos[0], '', at(warning.pos[0])));
  }
  for (const alias of aliases) {
    if (!anchors.has(alias.source))
      issues.push({
        severity: 'error',
        code: 'unknown-alias',
        message: `there is no anchor &${alias.source} for the alias *${alias.source}`,
        suggestion: `quote text that starts with "*"`,
        path: '',
        ...at(alias.range?.[0] ?? 0),
      });
  }
  const finder = createFinder(document, anchors);
  const locate: Locate = (path, atKey) => at(finder.offsetOf(path, atKey));
  const writtenAt = (path: ValuePath): string | undefined => finder.writtenAt(path);
  if (document.errors.length > 0 || issues.some((issue) => issue.code === 'bad-key' || issue.code === 'unknown-alias'))
    return { issues, locate, writtenAt };
  try {
    return { value: document.toJS({ maxAliasCount: MAX_ALIASED }) as unknown, issues, locate, writtenAt };
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    const message = /resource exhaustion/.test(error.message) ? 'the aliases expand to too many values' : error.message;
    return {
      issues: [...issues, { severity: 'error', code: 'too-large', message, path: '', ...START }],
      locate,
      writtenAt,
    };
  }
}

/** One mistake often makes the parser stumble many times: one issue per line, and the first ones only. */
function syntaxIssues(document: Document.Parsed, at: (offset: number) => Position): DefinitionIssue[] {
  const byLine = new Map<number, DefinitionIssue>();
  for (const error of document.errors) {
    const position = at(error.pos[0]);
    if (byLine.size >= MAX_SYNTAX_ISSUES) break;
    if (!byLine.has(position.line))
      byLine.set(position.line, {
        severity: 'error',
        ...syntaxProblem(error.code, error.message),
        path: '',
        ...position,
      });
  }
  return [...byLine.values()];
}

function syntaxProblem(code: string, message: string): Pick<DefinitionIssue, 'code' | 'message' | 'suggestion'> {
  if (code === 'TAB_AS_INDENT') return { code: 'yaml-syntax', message, suggestion: 'indent with spaces' };
  if (code === 'MULTIPLE_DOCS')
    return {
      code: 'yaml-syntax',
      message: 'the file holds more than one YAML document',
      suggestion: 'write one workflow per file, without a second "---"',
    };
  // The YAML parser recurses and reports its own overflow.
  if (/call stack/.test(message)) return { code: 'too-deep', message: TOO_DEEP };
  return { code: 'yaml-syntax', message };
}
