/** How much of one attempt's output is kept: the head, and the last `tailBytes`. */
export interface OutputLimits {
  /** Bytes kept in all, head and tail together. */
  readonly limitBytes: number;
  readonly tailBytes: number;
}

export const DEFAULT_OUTPUT_LIMITS: OutputLimits = { limitBytes: 8 * 1024 * 1024, tailBytes: 256 * 1024 };

export interface OutputLimit {
  /** Takes a chunk and returns its leading part that belongs to the head. The rest is kept as tail or counted as left out. */
  write(chunk: Uint8Array): Uint8Array;
  /** Someone before us left `bytes` out: the head ends here, what follows is tail. */
  skip(bytes: number): void;
  /** What is left to print: `leftOut` bytes of silence, then `tail`. */
  end(): { readonly leftOut: number; readonly tail: Uint8Array };
}

/** Bounds a byte stream. The memory for the tail is taken only when the head is full. */
export function createOutputLimit(limits: OutputLimits): OutputLimit {
  const headBytes = Math.max(0, limits.limitBytes - limits.tailBytes);
  let headUsed = 0;
  let skipped = 0;
  let ring: Uint8Array | undefined;
  let ringTotal = 0;

  function keepInRing(chunk: Uint8Array): void {
    ring ??= new Uint8Array(Math.max(1, limits.tailBytes));
    const size = ring.length;
    const kept = chunk.length > size ? chunk.subarray(chunk.length - size) : chunk;
    const at = (ringTotal + chunk.length - kept.length) % size;
    const first = Math.min(kept.length, size - at);
    ring.set(kept.subarray(0, first), at);
    ring.set(kept.subarray(first), 0);
    ringTotal += chunk.length;
  }

  return {
    write(chunk) {
      const room = headBytes - headUsed;
      const head = chunk.length <= room ? chunk : chunk.subarray(0, Math.max(0, room));
      headUsed += head.length;
      if (head.length < chunk.length) keepInRing(chunk.subarray(head.length));
      return head;
    },
    skip(bytes) {
      headUsed = headBytes;
      skipped += bytes + ringTotal;
      ringTotal = 0;
    },
    end() {
      if (ring === undefined || ringTotal === 0) return { leftOut: skipped, tail: new Uint8Array(0) };
      const size = ring.length;
      if (ringTotal <= size) return { leftOut: skipped, tail: ring.slice(0, ringTotal) };
      const at = ringTotal % size;
      const tail = new Uint8Array(size);
      tail.set(ring.subarray(at), 0);
      tail.set(ring.subarray(0, at), size - at);
      return { leftOut: skipped + ringTotal - size, tail };
    },
  };
}

/** The line that stands in the log where bytes are missing. */
export function leftOutMark(bytes: number, why = 'left out'): string {
  const grouped = String(bytes).replace(/\B(?=(\d{3})+$)/g, ',');
  return `\n[keelson: ${grouped} bytes ${why}]\n`;
}
