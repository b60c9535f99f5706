import { textProblem } from '@keelson/core';
import { ApiError } from '@keelson/protocol';

/** Deeper bodies overflow the stack of some reader on their way through zod and `jsonb`. */
const MAX_DEPTH = 120;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads a JSON body strictly: octets that are no UTF-8 are not replaced, and what no table can hold is refused here, with
 * its place. Empty: undefined.
 *
 * @throws {ApiError} `malformed-body` or `invalid-request`
 */
export function parseJsonBody(octets: Uint8Array): unknown {
  const text = decode(octets);
  if (text === '') return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ApiError('malformed-body', `the body is no valid JSON${placeIn(error)}`);
  }
  refuseUnstorable(value, 'body');
  return value;
}

/** @throws {ApiError} `malformed-body` when the octets are no UTF-8 */
export function decode(octets: Uint8Array): string {
  try {
    return utf8.decode(octets);
  } catch {
    throw new ApiError('malformed-body', 'the body is no UTF-8 text');
  }
}

/** The error's own text quotes the body, which may hold a secret. */
function placeIn(error: unknown): string {
  const place = error instanceof Error ? /\(line \d+ column \d+\)/.exec(error.message) : null;
  return place === null ? '' : ` ${place[0]}`;
}

interface Place {
  readonly parent?: Place;
  readonly key: string;
}

/**
 * Walks a value from outside with a stack of its own: text that cannot be stored, `__proto__` keys, bottomless nesting.
 *
 * @throws {ApiError} `malformed-body` or `invalid-request`
 */
export function refuseUnstorable(root: unknown, name: string): void {
  const stack: { readonly value: unknown; readonly place: Place; readonly depth: number }[] = [
    { value: root, place: { key: name }, depth: 0 },
  ];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { value, place, depth } = next;
    if (typeof value === 'string') refuseText(value, place);
    if (value === null || typeof value !== 'object') continue;
    if (depth === MAX_DEPTH) throw refused(place, 'too-deep', `is nested deeper than ${MAX_DEPTH} levels`);
    for (const [key, inner] of Object.entries(value)) {
      if (key === '__proto__')
        throw new ApiError('malformed-body', `${pathOf(place)} has the key "__proto__", which cannot be used`);
      refuseText(key, place);
      stack.push({ value: inner, place: { parent: place, key }, depth: depth + 1 });
    }
  }
}

function refuseText(text: string, place: Place): void {
  const problem = textProblem(text);
  if (problem !== undefined) throw refused(place, 'bad-text', problem);
}

function refused(place: Place, code: string, message: string): ApiError {
  const path = pathOf(place);
  return new ApiError('invalid-request', `${path} ${message}`, { errors: [{ path, code, message }] });
}

/** The beginning is enough to find it. */
function pathOf(place: Place): string {
  const keys: string[] = [];
  for (let at: Place | undefined = place; at !== undefined; at = at.parent) keys.unshift(at.key);
  const path = keys.slice(0, 10).join('.').replaceAll('\0', '\\u0000');
  return path.length > 200 ? `${path.slice(0, 200)}…` : path;
}
