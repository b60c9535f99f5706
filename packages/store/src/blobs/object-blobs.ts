import type { BlobStore } from '../blobs.ts';
import type { ObjectStore } from './object-store.ts';
import { checkBlobName, isBlobName, verifiedPieces } from './verify.ts';

const PIECE = 256 * 1024;
const QUESTIONS_AT_ONCE = 16;

/** Blobs as objects under `blobs/`. */
export function objectBlobs(objects: ObjectStore): BlobStore {
  const nameOf = (sha256: string): string => `blobs/${sha256.slice(0, 2)}/${sha256}`;
  const sizeOf = async (sha256: string): Promise<number | undefined> =>
    isBlobName(sha256) ? objects.size(nameOf(sha256)) : undefined;
  return {
    put: async (sha256, content) => {
      checkBlobName(sha256);
      const present = await sizeOf(sha256);
      if (present === undefined) return objects.put(nameOf(sha256), verifiedPieces(sha256, content, PIECE));
      for await (const _piece of verifiedPieces(sha256, content, PIECE));
      return { size: present };
    },
    get: async (sha256) => (isBlobName(sha256) ? objects.get(nameOf(sha256)) : undefined),
    has: async (names) => {
      const present = new Set<string>();
      const left = [...new Set(names)];
      const ask = async (): Promise<void> => {
        for (let name = left.pop(); name !== undefined; name = left.pop())
          if ((await sizeOf(name)) !== undefined) present.add(name);
      };
      await Promise.all(Array.from({ length: QUESTIONS_AT_ONCE }, ask));
      return present;
    },
    size: sizeOf,
    sweep: objects.sweep,
  };
}
