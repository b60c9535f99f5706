import { stripTypeScriptTypes } from 'node:module';
import { parse } from 'acorn';
import type { Node } from 'acorn';

/** A place where a process can be stopped between two awaits. */
export interface AwaitSite {
  /** `<file>:<function>:<number within it>`, stable while the function keeps its awaits. */
  readonly name: string;
  readonly start: number;
  readonly end: number;
  /** The start of the awaited expression, for people. */
  readonly text: string;
}

/**
 * Every `await` of a TypeScript source, in the order of the text. The types are blanked out, not removed, so the offsets are the source's
 * own.
 */
export function awaitSites(file: string, source: string): AwaitSite[] {
  const program = parse(stripTypeScriptTypes(source), { ecmaVersion: 'latest', sourceType: 'module' });
  const sites: AwaitSite[] = [];
  const counts = new Map<string, number>();
  walk(program, '', (node, owner) => {
    if (node.type !== 'AwaitExpression') return;
    const count = (counts.get(owner) ?? 0) + 1;
    counts.set(owner, count);
    const text = source.slice(node.start, node.end).replaceAll(/\s+/g, ' ').slice(0, 80);
    sites.push({ name: `${file}:${owner || 'module'}:${count}`, start: node.start, end: node.end, text });
  });
  return sites;
}

/** The same source, in which each await first says where it is. An await is wrapped whole, so it means the same in any expression. */
export function markAwaits(file: string, source: string): string {
  const edits = awaitSites(file, source).flatMap(({ name, start, end }) => [
    { at: start, text: `(globalThis.keelsonFailpoint?.(${JSON.stringify(`await:${name}`)}), ` },
    { at: end, text: ')' },
  ]);
  let marked = source;
  for (const { at, text } of edits.toSorted((a, b) => b.at - a.at))
    marked = marked.slice(0, at) + text + marked.slice(at);
  return marked;
}

/** Visits all nodes, with the name of the innermost function that has one. */
function walk(node: Node, owner: string, visit: (node: Node, owner: string) => void): void {
  visit(node, owner);
  for (const [key, value] of Object.entries(node)) {
    const children: readonly unknown[] = Array.isArray(value) ? value : [value];
    for (const child of children) if (isNode(child)) walk(child, nameOf(node, key) ?? owner, visit);
  }
}

/** The name that this node gives to what stands in it: of a function, a variable or a property. */
function nameOf(node: Node, key: string): string | undefined {
  const holds: Readonly<Record<string, readonly [named: string, content: string]>> = {
    FunctionDeclaration: ['id', 'body'],
    VariableDeclarator: ['id', 'init'],
    Property: ['key', 'value'],
  };
  const [named, content] = holds[node.type] ?? [];
  if (named === undefined || key !== content) return undefined;
  const isFunction = node.type === 'FunctionDeclaration' || /Function/.test(typeOf(Reflect.get(node, key)));
  const name: unknown = Reflect.get(Object(Reflect.get(node, named)), 'name');
  return isFunction && typeof name === 'string' ? name : undefined;
}

function typeOf(value: unknown): string {
  return isNode(value) ? value.type : '';
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}
