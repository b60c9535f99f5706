/** A rule that the data keeps at every moment; its statement returns the rows that break it. */
export interface Invariant {
  readonly name: string;
  readonly explanation: string;
  readonly sql: string;
}

export interface Finding {
  readonly name: string;
  readonly explanation: string;
  /** Rows that break the rule, at most 100; empty when it holds. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

export interface Doctor {
  /** One finding per rule. Scans hot tables only, never the history. */
  check(): Promise<Finding[]>;
}
