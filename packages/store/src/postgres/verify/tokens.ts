const BLOCK_BITS = 1 << 16;

export interface TokenSet {
  /** Answers false when the token was there already. */
  add(token: string): boolean;
}

/** A set of fencing tokens: they come from one sequence, so a bit each is enough. */
export function tokenSet(): TokenSet {
  const blocks = new Map<number, Uint8Array>();
  return {
    add: (token) => {
      const value = Number(token);
      const block = Math.floor(value / BLOCK_BITS);
      let bits = blocks.get(block);
      if (bits === undefined) blocks.set(block, (bits = new Uint8Array(BLOCK_BITS / 8)));
      const bit = value % BLOCK_BITS;
      const byte = bits[bit >> 3] ?? 0;
      const mask = 1 << (bit & 7);
      if ((byte & mask) !== 0) return false;
      bits[bit >> 3] = byte | mask;
      return true;
    },
  };
}
