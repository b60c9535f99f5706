import { createHash } from 'node:crypto';
import type { BlobContent } from '../blobs.ts';
import { StoreError } from '../store-error.ts';

/** @throws {StoreError} `invalid-blob-name` */
export function checkBlobName(sha256: string): void {
  if (isBlobName(sha256)) return;
  throw new StoreError(
    'invalid',
    'invalid-blob-name',
    'a blob is named by its SHA-256: 64 hexadecimal digits, lower case',
  );
}

export function isBlobName(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/**
 * Passes the content on in pieces of `pieceSize` bytes (the last one smaller), and throws at the end, in place of finishing,
 * if it is not what its name says.
 */
export async function* verifiedPieces(sha256: string, content: BlobContent, pieceSize: number): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let kept: Buffer[] = [];
  let size = 0;
  for await (const bytes of content instanceof Uint8Array ? [content] : content) {
    hash.update(bytes);
    for (let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength); rest.length > 0;) {
      const part = rest.subarray(0, pieceSize - size);
      rest = rest.subarray(part.length);
      // The producer may use its buffer again.
      kept.push(Buffer.from(part));
      size += part.length;
      if (size < pieceSize) continue;
      yield Buffer.concat(kept);
      kept = [];
      size = 0;
    }
  }
  if (size > 0) yield Buffer.concat(kept);
  const actual = hash.digest('hex');
  if (actual !== sha256)
    throw new StoreError('invalid', 'hash-mismatch', `the content has the SHA-256 ${actual}, not ${sha256}`);
}
