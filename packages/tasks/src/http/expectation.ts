import { isDeepStrictEqual } from 'node:util';
import { failed } from '../failure.ts';
import type { TaskResult } from '../task-type.ts';
import type { AnswerBody } from './body.ts';
import { valueAt } from './json-path.ts';
import type { HttpTask } from './schema.ts';

const EXCERPT_LENGTH = 300;

/** The failure of an answer that is not what the task expects; undefined when it is. */
export function expectationFailure(input: HttpTask, status: number, body: AnswerBody): TaskResult | undefined {
  const expected = [input.expectStatus].flat();
  if (!expected.some((pattern) => matches(status, pattern))) {
    return failed('http-status', `answered ${status}, expected ${expected.join(' or ')}${excerpt(body)}`);
  }
  const { contains, jsonPath } = input.expectBody ?? {};
  if (contains !== undefined && !(body.text ?? '').includes(contains)) {
    return failed('http-body', `the body does not contain ${JSON.stringify(contains)}${excerpt(body)}`);
  }
  if (jsonPath === undefined) return undefined;
  if (body.json === undefined)
    return failed('http-body', `expectBody.jsonPath needs a JSON body, and the answer is none${excerpt(body)}`);
  const found = valueAt(body.json, jsonPath.path);
  if (isDeepStrictEqual(found, jsonPath.equals)) return undefined;
  const there = found === undefined ? 'nothing' : JSON.stringify(found).slice(0, EXCERPT_LENGTH);
  return failed(
    'http-body',
    `the body holds ${there} at "${jsonPath.path}", expected ${JSON.stringify(jsonPath.equals)}`,
  );
}

function matches(status: number, pattern: number | string): boolean {
  return String(pattern).endsWith('xx') ? String(status)[0] === String(pattern)[0] : status === Number(pattern);
}

function excerpt({ text }: AnswerBody): string {
  if (text === undefined || text.trim() === '') return '';
  const line = text.trim().replaceAll(/\s+/g, ' ');
  return `; the body begins: ${line.slice(0, EXCERPT_LENGTH).toWellFormed()}`;
}
