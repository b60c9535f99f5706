import type { Readable } from 'node:stream';
import type { BlobContent } from '../blobs.ts';

/** What lies under blobs and logs where they are not in PostgreSQL: whole objects by name, such as `blobs/<sha256>`. */
export interface ObjectStore {
  /** Replaces the object of that name. It is visible only whole; if the content throws, it is not stored. */
  put(name: string, content: BlobContent): Promise<{ readonly size: number }>;
  get(name: string): Promise<Readable | undefined>;
  size(name: string): Promise<number | undefined>;
  /** One that is not there is fine. */
  remove(name: string): Promise<void>;
  /** Drops what uploads begun more than `ageMs` ago have left unfinished. Answers how many. */
  sweep(ageMs: number): Promise<number>;
  close(): Promise<void>;
}
