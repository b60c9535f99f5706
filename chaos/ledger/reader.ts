import { open } from 'node:fs/promises';
import { parseLedger } from './entry.ts';
import type { Entry } from './entry.ts';

/**
 * Reads a ledger that is still being written, each line once: who looks at it all the time must not slow down what it looks at.
 *
 * @returns a function that answers all entries so far, always in the same array, which grows
 */
export function ledgerReader(file: string): () => Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  let offset = 0;
  let reading = Promise.resolve();
  const readOn = async (): Promise<void> => {
    const news = await textFrom(file, offset);
    const complete = news.subarray(0, news.lastIndexOf('\n') + 1);
    offset += complete.length;
    entries.push(...parseLedger(complete.toString(), entries.length));
  };
  return async () => {
    reading = reading.then(readOn);
    await reading;
    return entries;
  };
}

/** Nothing while there is no file. */
async function textFrom(path: string, offset: number): Promise<Buffer> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return Buffer.alloc(0);
  try {
    const { size } = await file.stat();
    const { bytesRead, buffer } = await file.read(Buffer.alloc(Math.max(0, size - offset)), { position: offset });
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
