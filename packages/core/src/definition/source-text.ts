import type { Alias, Document, Node, Pair, ParsedNode, YAMLMap } from 'yaml';
import { isAlias, isCollection, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';

import type { ValuePath } from '../expression/evaluate.ts';
import type { DefinitionIssue } from './issue.ts';
import { MAX_DEFINITION_BYTES } from './limits.ts';
import type { Locate, Position } from './report.ts';
import { pathText } from './report.ts';

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

interface Inspection {
  readonly anchors: Map<string, Node>;
  /** Offsets of the tags that already have an issue. */
  readonly tagged: Set<number>;
  readonly aliases: Alias[];
}

/** One walk over all nodes, with a stack of its own: duplicate keys, keys that are no text, tags, anchors. */
function inspect(
  document: Document.Parsed,
  text: string,
  at: (offset: number) => Position,
  issues: DefinitionIssue[],
): Inspection {
  const found: Inspection = { anchors: new Map(), tagged: new Set(), aliases: [] };
  const stack: { readonly node: unknown; readonly path: ValuePath }[] = [{ node: document.contents, path: [] }];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { node, path } = next;
    if (isAlias(node)) found.aliases.push(node);
    if (!isScalar(node) && !isCollection(node)) continue;
    if (node.anchor !== undefined) found.anchors.set(node.anchor, node);
    if (node.tag?.startsWith('!') === true) noteTag(node as ParsedNode, path, text, at, issues, found);
    if (isSeq(node))
      for (const [index, item] of node.items.entries()) stack.push({ node: item, path: [...path, index] });
    if (isMap(node))
      for (const pair of inspectKeys(node, path, at, issues))
        stack.push({ node: pair.value, path: [...path, keyText(pair)] });
  }
  return found;
}

function inspectKeys(
  map: YAMLMap,
  path: ValuePath,
  at: (offset: number) => Position,
  issues: DefinitionIssue[],
): Pair[] {
  const seen = new Map<string, number>();
  for (const pair of map.items) {
    const position = at(startOf(pair.key) ?? startOf(map) ?? 0);
    if (!isScalar(pair.key) || pair.key.value === null) {
      issues.push({
        severity: 'error',
        code: 'bad-key',
        message: 'a key must be plain text',
        path: pathText(path),
        ...position,
        suggestion: 'quote text that has {, [ or : in it',
      });
      continue;
    }
    const key = keyText(pair);
    const first = seen.get(key);
    if (first === undefined) seen.set(key, position.line);
    else if (key !== '<<')
      issues.push({
        severity: 'error',
        code: 'duplicate-key',
        message: `the key ${JSON.stringify(key)} is already used on line ${first}`,
        path: pathText([...path, key]),
        ...position,
      });
  }
  return map.items;
}

function noteTag(
  node: ParsedNode,
  path: ValuePath,
  text: string,
  at: (offset: number) => Position,
  issues: DefinitionIssue[],
  found: Inspection,
): void {
  const offset = text.lastIndexOf(node.tag ?? '!', node.range[0]);
  if (offset === -1) return;
  found.tagged.add(offset);
  issues.push(tagProblem(text, offset, pathText(path), at(offset)));
}

/** `if: !params.dryRun` is a YAML tag, not a negation. */
function tagProblem(text: string, offset: number, path: string, position: Position): DefinitionIssue {
  const written = (/^[^\n#]*/.exec(text.slice(offset, offset + 200))?.[0] ?? '')
    .trim()
    .replace(/[,}\]]+$/, '')
    .trim();
  return {
    severity: 'error',
    code: 'yaml-tag',
    path,
    ...position,
    message: `an unquoted "!" starts a YAML tag, so that ${JSON.stringify(written)} is not read as text`,
    suggestion: `put it in quotes: ${JSON.stringify(written)}`,
  };
}

function startOf(node: unknown): number | undefined {
  return isScalar(node) || isCollection(node) || isAlias(node) ? (node.range?.[0] ?? undefined) : undefined;
}

function keyText(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : '';
}

/** Finds nodes by path; each map is indexed at its first use, so that many issues in one large map cost no more than one. */
function createFinder(
  document: Document.Parsed,
  anchors: ReadonlyMap<string, Node>,
): { offsetOf: (path: ValuePath, atKey: boolean) => number; writtenAt: (path: ValuePath) => string | undefined } {
  const indexes = new WeakMap<YAMLMap, Map<string, Pair>>();
  const resolve = (node: unknown): unknown => (isAlias(node) ? anchors.get(node.source) : node);

  function pairOf(map: YAMLMap, key: string): Pair | undefined {
    let index = indexes.get(map);
    if (index === undefined) indexes.set(map, (index = new Map(map.items.map((pair) => [keyText(pair), pair]))));
    const own = index.get(key);
    if (own !== undefined) return own;
    const merged = resolve(index.get('<<')?.value);
    const sources = isSeq(merged) ? merged.items.map(resolve) : [merged];
    for (const source of sources) {
      const pair = isMap(source) && source !== map ? pairOf(source, key) : undefined;
      if (pair !== undefined) return pair;
    }
    return undefined;
  }

  /** The node at the path, or the deepest one on the way to it. */
  function find(path: ValuePath): { node: unknown; pair: Pair | undefined; whole: boolean } {
    let node: unknown = resolve(document.contents);
    let pair: Pair | undefined;
    for (const key of path) {
      const nextPair = isMap(node) ? pairOf(node, String(key)) : undefined;
      const next = nextPair ?? (isSeq(node) && typeof key === 'number' ? node.items[key] : undefined);
      if (next === undefined) return { node, pair, whole: false };
      pair = nextPair;
      node = resolve(isPair(next) ? next.value : next);
    }
    return { node, pair, whole: true };
  }

  return {
    offsetOf(path, atKey) {
      const { node, pair, whole } = find(path);
      const key = startOf(pair?.key);
      // A missing key is shown at the key of the map that lacks it.
      return (atKey || !whole ? key : undefined) ?? startOf(node) ?? key ?? 0;
    },
    writtenAt(path) {
      const { node, whole } = find(path);
      return whole && isScalar(node) ? node.source : undefined;
    },
  };
}
