/** A rule that the data keeps at every moment; its statement returns `instance_id` and `message` of each row that breaks it. */
export interface Invariant {
  readonly name: string;
  readonly explanation: string;
  readonly sql: string;
}

export interface Finding {
  readonly name: string;
  readonly explanation: string;
  /** Rows that break the rule, at most 100; empty when it holds. */
  readonly rows: readonly { readonly instanceId: string | null; readonly message: string }[];
}

export interface Doctor {
  /** One finding per rule. Scans hot tables only, and of the history what belongs to them and the newest instances. */
  check(): Promise<Finding[]>;
}
