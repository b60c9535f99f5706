/** Which instances to verify; all of them when nothing is said. */
export interface VerifyOptions {
  /** Only this one. */
  readonly instance?: string | undefined;
  /** Only from this id on. */
  readonly sinceId?: string | undefined;
  /** Only those created at this time or later (RFC 3339). */
  readonly sinceTime?: string | undefined;
}

/** A place where the rows are not what the history says, or where the history breaks its own rules. */
export type Violation = {
  readonly instanceId: string;
  readonly task: string | null;
  readonly check: string;
  readonly expected: string;
  readonly found: string;
};

/** Some instances, all of one moment. */
export interface VerifiedBatch {
  readonly instances: number;
  readonly events: number;
  readonly violations: readonly Violation[];
}

export interface Verifier {
  /**
   * Folds the history of instances and compares it with their rows, batch by batch in the order of their ids. Takes no lock; each batch is
   * one snapshot, so it may run while the system is at work. Memory does not grow with the number of instances, but for a bit per token.
   */
  verify(options?: VerifyOptions): AsyncIterable<VerifiedBatch>;
}
