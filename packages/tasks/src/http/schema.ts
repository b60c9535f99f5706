import { DURATION_PATTERN, parseDuration } from '@keelson/core';
import { z } from 'zod';
import { authored, holdsExpression, rendered, textLike, type FieldRule } from '../input-reading.ts';
import type { TaskType } from '../task-type.ts';
import { JSON_PATH_PATTERN } from './json-path.ts';

export const HTTP_METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'] as const;

/** Timers of Node overflow after 24 days and fire at once. */
const MAX_TIMEOUT_MS = 86_400_000;

const url = z.string().superRefine((text, check) => {
  if (holdsExpression(text)) return;
  const parsed = URL.parse(text);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    check.addIssue('must be a whole URL that begins with http:// or https://');
  } else if (parsed.username !== '' || parsed.password !== '') {
    check.addIssue('must hold no user name or password; put them into headers: { authorization: "${{ secrets.… }}" }');
  }
});

const status = z.union([
  z.int().min(100).max(599),
  z.string().regex(/^[1-5](?:\d\d|xx)$/, 'must be a status such as 200, or a class such as 2xx'),
]);

const timeout = z
  .string()
  .regex(DURATION_PATTERN, 'must be a duration such as 30s or 1m30s')
  .refine(
    (text) => (parseDuration(text) ?? 0) > 0 && (parseDuration(text) ?? 0) <= MAX_TIMEOUT_MS,
    'must be longer than zero and at most 1d',
  );

/** Header names and query keys become part of the request as they are. */
const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'is no name of an HTTP header');

function httpInput<Stand>(field: FieldRule<Stand>) {
  const expectBody = z.strictObject({
    contains: z.string().min(1).exactOptional().describe('A text that the body must contain.'),
    jsonPath: z
      .strictObject({
        path: z
          .string()
          .regex(JSON_PATH_PATTERN, 'must be a path such as data.items[0].state')
          .describe('Where to look in the JSON body: `data.items[0].state`; an empty path is the whole body.'),
        equals: z.json().describe('The value that must stand there.'),
      })
      .exactOptional()
      .describe('A value that the JSON body must hold.'),
  });
  return z.strictObject({
    url: url.describe('Where the request goes, with http:// or https://.'),
    method: field(z.enum(HTTP_METHODS)).default('GET').describe('The method of the request.'),
    headers: field(z.record(headerName, textLike))
      .exactOptional()
      .describe('Headers of the request. The values may use secrets.'),
    query: field(z.record(z.string(), z.union([textLike, z.array(textLike)])))
      .exactOptional()
      .describe('Query parameters, added to those of the URL; a list makes a parameter for each of its items.'),
    body: z
      .json()
      .exactOptional()
      .describe('A string is sent as it is; any other value as JSON, with its content type. May use secrets.'),
    expectStatus: field(z.union([status, z.array(status).min(1)]))
      .default('2xx')
      .describe('The statuses that count as success: 200, a class such as "2xx", or a list of them.'),
    expectBody: expectBody.exactOptional().describe('What the body must hold for the task to succeed.'),
    timeout: field(timeout)
      .default('60s')
      .describe('How long the request, its redirects and the body may take together.'),
    followRedirects: field(z.enum(['same-host', 'any', 'none']))
      .default('same-host')
      .describe(
        '`same-host` fails on a redirect to another host, or from https to http; `any` follows it without your headers; `none` takes the redirect for the answer.',
      ),
  });
}

/** What the worker reads from a rendered input. */
export const httpTask = httpInput(rendered);
export type HttpTask = z.infer<typeof httpTask>;

export const httpType: TaskType = {
  name: 'http',
  summary: 'Sends an HTTP request and checks the answer.',
  input: httpInput(authored),
  code: [],
  secretFields: ['headers.*', 'body'],
  moduleFields: [],
  capability: () => 'http',
};
