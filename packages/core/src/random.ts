/** Where chance comes from; given to whoever needs it, so that a simulation can replay it. */
export interface Random {
  /** From 0 up to, but not, 1. For spreading things out only: it can be guessed. */
  fraction(): number;
  /** So many bytes that nobody can guess, as base64url. */
  secret(bytes: number): string;
}

/** The wait before try `failures + 1`: doubles from `firstMs` to `mostMs`, each time between half of it and all of it. */
export function backoffMs(failures: number, firstMs: number, mostMs: number, random: Pick<Random, 'fraction'>): number {
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(failures, 20));
  return full * (0.5 + random.fraction() / 2);
}
