const SMALLEST_BLOCK = 1024;
const LARGEST_BLOCK = 64 * 1024;

/** Bytes in order. Many small pieces share a block: a million short lines must not become a million objects. */
export interface ByteQueue {
  readonly size: number;
  /** Copies the bytes. */
  push(bytes: Uint8Array): void;
  /** Takes up to `most` bytes from the front. */
  take(most: number): Buffer;
}

export function createByteQueue(): ByteQueue {
  let blocks: Buffer[] = [];
  let size = 0;
  let start = 0;
  let end = 0;

  return {
    get size() {
      return size;
    },
    push(bytes) {
      size += bytes.length;
      let rest = bytes;
      while (rest.length > 0) {
        let last = blocks.at(-1);
        if (last === undefined || end === last.length) {
          const wanted = Math.max(rest.length, SMALLEST_BLOCK, 2 * (last?.length ?? 0));
          last = Buffer.allocUnsafe(Math.min(wanted, LARGEST_BLOCK));
          blocks.push(last);
          end = 0;
        }
        const part = rest.subarray(0, last.length - end);
        last.set(part, end);
        end += part.length;
        rest = rest.subarray(part.length);
      }
    },
    take(most) {
      const wanted = Math.min(most, size);
      const parts: Buffer[] = [];
      let missing = wanted;
      while (missing > 0) {
        const first = blocks[0];
        if (first === undefined) break;
        const stop = blocks.length === 1 ? end : first.length;
        const part = first.subarray(start, Math.min(stop, start + missing));
        parts.push(part);
        missing -= part.length;
        start += part.length;
        if (start === first.length) {
          blocks.shift();
          start = 0;
        }
      }
      size -= wanted;
      if (size === 0) {
        blocks = [];
        start = 0;
        end = 0;
      }
      return Buffer.concat(parts, wanted);
    },
  };
}
