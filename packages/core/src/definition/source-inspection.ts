import type { Alias, Document, Node, Pair, ParsedNode, YAMLMap } from 'yaml';
import { isAlias, isCollection, isMap, isScalar, isSeq } from 'yaml';

import type { ValuePath } from '../expression/evaluate.ts';
import type { DefinitionIssue } from './issue.ts';
import type { Position } from './report.ts';
import { pathText } from './report.ts';
import { keyText, startOf } from './source-finder.ts';

export interface Inspection {
  readonly anchors: Map<string, Node>;
  /** Offsets of the tags that already have an issue. */
  readonly tagged: Set<number>;
  readonly aliases: Alias[];
}

/** One walk over all nodes, with a stack of its own: duplicate keys, keys that are no text, tags, anchors. */
export function inspect(
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
export function tagProblem(text: string, offset: number, path: string, position: Position): DefinitionIssue {
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
