import { MAX_DEFINITION_BYTES } from '@keelson/core';
import type { Api } from '../deps.ts';
import { decode } from '../http/request-text.ts';

const SOURCE_TYPES = [
  'application/yaml',
  'application/x-yaml',
  'text/yaml',
  'text/x-yaml',
  'text/plain',
  'application/json',
  'application/octet-stream',
  // What curl says unless it is told otherwise.
  'application/x-www-form-urlencoded',
];

/** In this scope a body is a text, YAML or JSON by its content, whatever its type. */
export function acceptSource(api: Api): void {
  api.addHook('onRequest', async ({ headers }) => void (headers['content-type'] ??= 'application/yaml'));
  api.removeAllContentTypeParsers();
  api.addContentTypeParser(
    SOURCE_TYPES,
    { parseAs: 'buffer', bodyLimit: MAX_DEFINITION_BYTES },
    async (_request: unknown, body: Buffer) => decode(body),
  );
}
