import type { ASTNode } from '@marcbachmann/cel-js';

import { closest, didYouMean } from '../suggest.ts';
import { formatTime } from '../time/format.ts';
import { parseAmount } from '../time/shift.ts';
import { zonedTime } from '../time/zoned.ts';
import { COMPREHENSIONS, FUNCTIONS, METHODS, ROOT_VARIABLES, SAFE_MATCHES } from './environment.ts';
import { ExpressionError } from './expression-error.ts';
import { RUN_FIELDS } from './scope.ts';

/** What an expression reads, by name. */
export interface ExpressionRefs {
  readonly params: readonly string[];
  /** `params` is also read as a whole, or by a computed key. */
  readonly allParams: boolean;
  readonly tasks: readonly string[];
  readonly secrets: readonly string[];
  readonly run: readonly string[];
}

export interface ExpressionShape {
  readonly refs: ExpressionRefs;
  /** How deep `map`, `filter`, `exists`, … stand inside each other. */
  readonly loopDepth: number;
  readonly usesSplit: boolean;
}

type Root = (typeof ROOT_VARIABLES)[number];

interface Walk {
  readonly text: string;
  readonly found: Record<Root, Set<string>>;
  allParams: boolean;
  loopDepth: number;
  usesSplit: boolean;
}

/**
 * Collects what an expression reads, and refuses what the language does not have: unknown variables, functions and
 * methods, names that hide a variable, tasks and secrets by a computed name. Also swaps `matches` for the linear-time one.
 */
export function analyse(ast: ASTNode, text: string): ExpressionShape {
  const walk: Walk = {
    text,
    allParams: false,
    loopDepth: 0,
    usesSplit: false,
    found: { params: new Set(), run: new Set(), tasks: new Set(), secrets: new Set() },
  };
  visit(walk, ast, [], 0);
  const { params, run, tasks, secrets } = walk.found;
  const refs = {
    params: [...params],
    allParams: walk.allParams,
    tasks: [...tasks],
    secrets: [...secrets],
    run: [...run],
  };
  return { refs, loopDepth: walk.loopDepth, usesSplit: walk.usesSplit };
}

/** The parser bounds the depth, so that recursion is safe here. */
function visit(walk: Walk, node: ASTNode, bound: readonly string[], loops: number): void {
  switch (node.op) {
    case 'value':
      return;
    case 'id':
      return visitName(walk, node, node.args, bound);
    case '.':
    case '[]':
    case '.?':
    case '[?]':
      return visitAccess(walk, node, bound, loops);
    case 'call':
      return visitCall(walk, node, bound, loops);
    case 'rcall':
      return visitMethod(walk, node, bound, loops);
    default:
      for (const child of childrenOf(node)) visit(walk, child, bound, loops);
  }
}

function childrenOf(node: ASTNode): ASTNode[] {
  if (node.op === 'map') return node.args.flat();
  if (node.op === 'list') return node.args;
  const args: unknown = node.args;
  return (Array.isArray(args) ? args : [args]) as ASTNode[];
}

function visitName(walk: Walk, node: ASTNode, name: string, bound: readonly string[]): void {
  if (bound.includes(name)) return;
  if (!isRoot(name)) throw unknownVariable(walk, node, name, bound);
  if (name === 'params') walk.allParams = true;
  else if (name === 'run') for (const field of RUN_FIELDS) walk.found.run.add(field);
  else throw dynamicReference(walk, node, name);
}

function isRoot(name: string): name is Root {
  return (ROOT_VARIABLES as readonly string[]).includes(name);
}

function visitAccess(
  walk: Walk,
  node: ASTNode & { readonly op: '.' | '[]' | '.?' | '[?]' },
  bound: readonly string[],
  loops: number,
): void {
  const [left, right] = node.args;
  const root = left.op === 'id' && !bound.includes(left.args) && isRoot(left.args) ? left.args : undefined;
  const key =
    typeof right === 'string' ? right : right.op === 'value' && typeof right.args === 'string' ? right.args : undefined;
  if (root !== undefined && key !== undefined) {
    if (root === 'run' && !(RUN_FIELDS as readonly string[]).includes(key)) {
      throw error(
        walk,
        node,
        'unknown-variable',
        `run has no ${JSON.stringify(key)}; it has ${RUN_FIELDS.join(', ')}`,
        didYouMean(
          `run.${key}`,
          RUN_FIELDS.map((field) => `run.${field}`),
        ),
      );
    }
    walk.found[root].add(key);
    return;
  }
  if (key !== undefined && isTask(left, bound) && key !== 'outputs' && key !== 'state') {
    const task = walk.text.slice(left.start, left.end);
    throw error(
      walk,
      node,
      'unknown-variable',
      `${task} has only "outputs" and "state", no ${JSON.stringify(key)}`,
      `did you mean "${task}.${closest(key, ['outputs', 'state']) ?? `outputs.${key}`}"?`,
    );
  }
  visit(walk, left, bound, loops);
  if (typeof right !== 'string') visit(walk, right, bound, loops);
}

function isTask(node: ASTNode, bound: readonly string[]): boolean {
  if (node.op !== '.' && node.op !== '[]') return false;
  const root = node.args[0];
  return root.op === 'id' && root.args === 'tasks' && !bound.includes('tasks');
}

function visitCall(walk: Walk, node: ASTNode & { readonly op: 'call' }, bound: readonly string[], loops: number): void {
  const [name, args] = node.args;
  if (!FUNCTIONS.includes(name)) {
    const known = METHODS.includes(name) ? `write value.${name}(…)` : didYouMean(name, FUNCTIONS);
    throw error(
      walk,
      node,
      'unknown-function',
      `there is no function ${JSON.stringify(name)}; there are ${FUNCTIONS.join(', ')}`,
      known,
    );
  }
  if (name === 'matches') node.args[0] = SAFE_MATCHES;
  checkLiteral(walk, name, args[1]);
  for (const arg of args) visit(walk, arg, bound, loops);
}

const SAMPLE_TIME = zonedTime('2026-01-31T00:00:00Z', 'UTC');

/** An amount or a pattern that is written out can be refused before anything runs. */
function checkLiteral(walk: Walk, name: string, argument: ASTNode | undefined): void {
  if (argument?.op !== 'value' || typeof argument.args !== 'string') return;
  try {
    if (name === 'shift') parseAmount(argument.args);
    if (name === 'fmt') formatTime(SAMPLE_TIME, argument.args);
  } catch (problem) {
    if (problem instanceof RangeError) throw error(walk, argument, 'bad-argument', problem.message);
    throw problem;
  }
}

function visitMethod(
  walk: Walk,
  node: ASTNode & { readonly op: 'rcall' },
  bound: readonly string[],
  loops: number,
): void {
  const [name, receiver, args] = node.args;
  if (!METHODS.includes(name)) {
    const known = FUNCTIONS.includes(name) ? `write ${name}(value, …)` : didYouMean(name, METHODS);
    throw error(
      walk,
      node,
      'unknown-function',
      `there is no method ${JSON.stringify(name)}; there are ${METHODS.join(', ')}`,
      known,
    );
  }
  visit(walk, receiver, bound, loops);
  if (name === 'split') walk.usesSplit = true;
  if (name === 'matches') node.args[0] = SAFE_MATCHES;
  if (!COMPREHENSIONS.includes(name)) {
    for (const arg of args) visit(walk, arg, bound, loops);
    return;
  }
  walk.loopDepth = Math.max(walk.loopDepth, loops + 1);
  const [variable, ...bodies] = args;
  if (variable?.op !== 'id')
    throw error(
      walk,
      variable ?? node,
      'expression-syntax',
      `the first argument of ${name}(…) is a name for the element, as in list.${name}(item, …)`,
    );
  if (isRoot(variable.args))
    throw error(
      walk,
      variable,
      'hidden-variable',
      `${JSON.stringify(variable.args)} is already a variable: choose another name for the element`,
    );
  for (const body of bodies) visit(walk, body, [...bound, variable.args], loops + 1);
}

function unknownVariable(walk: Walk, node: ASTNode, name: string, bound: readonly string[]): ExpressionError {
  return error(
    walk,
    node,
    'unknown-variable',
    `there is no variable ${JSON.stringify(name)}; there are ${ROOT_VARIABLES.join(', ')}`,
    didYouMean(name, [...ROOT_VARIABLES, ...bound]) ??
      `a parameter is params.${name}, text stands in quotes: '${name}'`,
  );
}

function dynamicReference(walk: Walk, node: ASTNode, root: string): ExpressionError {
  const example = root === 'tasks' ? 'tasks.extract.outputs.rows' : 'secrets.API_KEY';
  return error(walk, node, 'dynamic-reference', `${root} can only be read by a fixed name, as in ${example}`);
}

function error(walk: Walk, node: ASTNode, code: string, message: string, suggestion?: string): ExpressionError {
  return new ExpressionError(code, message, walk.text, node.start, suggestion);
}
