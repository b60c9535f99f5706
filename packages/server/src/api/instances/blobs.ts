import type { Readable } from 'node:stream';
import { z } from 'zod';
import { ApiError, MAX_BLOB_BYTES, putBlobResponse, scalar } from '@keelson/protocol';
import type { Api, ApiDeps } from '../deps.ts';

const blobName = z.object({ sha256: scalar.sha256 });

/** Uploads for `apply`: streamed, never held in memory. */
export function blobRoutes(root: Api, { store }: ApiDeps): void {
  void root.register(async (api: Api) => {
    api.removeAllContentTypeParsers();
    api.addContentTypeParser('application/octet-stream', (_request, body, done) => done(null, body));
    api.head(
      '/api/v1/blobs/:sha256',
      {
        config: { permission: 'workflows:write' },
        schema: { summary: 'Ask whether a blob is there: 200 or 404', params: blobName },
      },
      async ({ params }, reply) => {
        const size = await store.blobs.size(params.sha256);
        if (size === undefined) throw new ApiError('unknown-blob', `there is no blob ${params.sha256}`);
        return reply.header('content-length', size).send();
      },
    );
    api.put(
      '/api/v1/blobs/:sha256',
      {
        config: { permission: 'workflows:write' },
        schema: {
          summary: 'Upload a blob; its content must have that hash',
          consumes: ['application/octet-stream'],
          params: blobName,
          response: { 200: putBlobResponse },
        },
        // Before the body is read: what is too large is refused by its announced length.
        preParsing: async (request, _reply, payload) => {
          if (Number(request.headers['content-length'] ?? 0) > MAX_BLOB_BYTES) throw tooLarge();
          return payload;
        },
      },
      async ({ params, body }) => {
        const { size } = await store.blobs.put(params.sha256, limited(body as Readable | null | undefined));
        return { sha256: params.sha256, size };
      },
    );
  });
}

async function* limited(
  content: AsyncIterable<Uint8Array> | null | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  let size = 0;
  for await (const chunk of content ?? []) {
    size += chunk.length;
    if (size > MAX_BLOB_BYTES) throw tooLarge();
    yield chunk;
  }
}

function tooLarge(): ApiError {
  return new ApiError('body-too-large', `a blob has at most ${MAX_BLOB_BYTES / 1024 / 1024} MiB`);
}
