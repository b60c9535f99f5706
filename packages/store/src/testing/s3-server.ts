/**
 * A small S3 for tests, over HTTP: put, get and head of whole objects in one bucket, with path-style addresses. It checks that
 * a request is signed and as long as it says; it is not a check against Amazon's own service.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';

export interface S3Server {
  readonly endpoint: string;
  readonly objects: ReadonlyMap<string, Buffer>;
  /** The next requests get this status. */
  fail(status: number | undefined): void;
  close(): Promise<void>;
}

export async function startS3Server(bucket: string): Promise<S3Server> {
  const objects = new Map<string, Buffer>();
  let failure: number | undefined;
  const server = createServer((request, response) => {
    answer(bucket, objects, failure, request, response).catch((error: unknown) =>
      response.destroy(error instanceof Error ? error : undefined),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the test server has no port');
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    objects,
    fail: (status) => (failure = status),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(
  bucket: string,
  objects: Map<string, Buffer>,
  failure: number | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await buffer(request);
  const { pathname } = new URL(request.url ?? '/', 'http://server');
  const signed = request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential=test-key/') === true;
  if (failure !== undefined) return refuse(response, failure, 'InternalError');
  if (!signed) return refuse(response, 403, 'AccessDenied');
  if (!pathname.startsWith(`/${bucket}/`)) return refuse(response, 404, 'NoSuchBucket');
  const key = decodeURIComponent(pathname.slice(bucket.length + 2));
  if (request.method === 'PUT') {
    if (Number(request.headers['content-length']) !== body.length) return refuse(response, 411, 'MissingContentLength');
    objects.set(key, body);
    response.writeHead(200, { etag: '"x"' }).end();
    return;
  }
  const found = objects.get(key);
  if (found === undefined) return refuse(response, 404, 'NoSuchKey');
  response.writeHead(200, { 'content-length': found.length, 'content-type': 'application/octet-stream' });
  response.end(request.method === 'HEAD' ? undefined : found);
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);
}
