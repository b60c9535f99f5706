import type { Readable } from 'node:stream';

export type BlobContent = Uint8Array | AsyncIterable<Uint8Array>;

/** Immutable bytes, named by their SHA-256 in lower-case hex. A blob is visible only when it is whole. */
export interface BlobStore {
  /**
   * Stores the bytes; a blob that is there already stays (the content is still read and checked). Answers its size.
   *
   * @throws {StoreError} `hash-mismatch`, `invalid-blob-name`
   */
  put(sha256: string, content: BlobContent): Promise<{ readonly size: number }>;
  get(sha256: string): Promise<Readable | undefined>;
  /** Those of the names that exist. */
  has(names: readonly string[]): Promise<ReadonlySet<string>>;
  size(sha256: string): Promise<number | undefined>;
  /** Drops what uploads begun more than `ageMs` ago have left unfinished. Answers how many. */
  sweep(ageMs: number): Promise<number>;
}
