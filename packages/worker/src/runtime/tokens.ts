/** Which attempts this worker has taken, and which of them it is done with. A token is accepted once. */
export interface TokenTable<T> {
  get(token: string): T | undefined;
  /** Received, and its end not yet acknowledged. */
  isHeld(token: string): boolean;
  /** Its end was acknowledged, or it must never start here. */
  isDone(token: string): boolean;
  hold(token: string, attempt: T): void;
  done(token: string): void;
  heldTokens(): string[];
  entries(): IterableIterator<[string, T]>;
  readonly heldCount: number;
}

/** How many finished tokens are remembered; the server forgets to repeat one long before. */
const MAX_DONE = 100_000;

export function createTokenTable<T>(maxDone = MAX_DONE): TokenTable<T> {
  const held = new Map<string, T>();
  const done = new Set<string>();
  return {
    get: (token) => held.get(token),
    isHeld: (token) => held.has(token),
    isDone: (token) => done.has(token),
    hold: (token, attempt) => void held.set(token, attempt),
    done(token) {
      held.delete(token);
      done.add(token);
      if (done.size <= maxDone) return;
      for (const oldest of done) {
        done.delete(oldest);
        return;
      }
    },
    heldTokens: () => [...held.keys()],
    entries: () => held.entries(),
    get heldCount() {
      return held.size;
    },
  };
}
