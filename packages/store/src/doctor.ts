/** How often the sweeper looks: `fast` rules read hot tables by key; `doctor` rules say that nobody is at work, so only a person can ask. */
export type Pace = 'fast' | 'slow' | 'doctor';

/** What must hold of the rows at every moment. */
export interface Invariant {
  readonly name: string;
  /** What holds. */
  readonly explanation: string;
  /** Why it can never be otherwise. */
  readonly why: string;
  /** What a finding would mean. */
  readonly meaning: string;
  readonly pace: Pace;
  /** Selects `instance_id` and `message` of the rows that break the rule. */
  readonly sql: string;
  /** What may be done about it without a thought, or what a person has to do. */
  readonly remedy: Repairable | { readonly byHand: string };
}

/**
 * A safe repair. The statements run in one transaction that holds the instance's rows, in order, each with the instance's id as $1; each
 * looks again itself and answers what it did: `message`, and `events` (or null) for the history.
 */
export interface Repairable {
  readonly repair: string;
  readonly statements: readonly string[];
}

export type FindingRow = { readonly instanceId: string | null; readonly message: string };

export interface Finding extends Omit<Invariant, 'sql' | 'remedy'> {
  /** What `fix` would do; null when only a person can. */
  readonly repair: string | null;
  readonly byHand: string | null;
  /** Rows that break the rule, at most 100; empty when it holds. */
  readonly rows: readonly FindingRow[];
}

/** One thing that was mended. It stands in the instance's history as `repaired`. */
export type Repair = FindingRow & { readonly rule: string };

export interface Doctor {
  /** One finding per rule, all of the same moment. Scans hot tables, and of the history what belongs to them and the newest rows. */
  check(): Promise<Finding[]>;
  /**
   * Repairs what can be repaired safely, instance by instance, and answers what was done. Where a repair fails the others go on; the reason
   * is thrown when nothing could be repaired at all.
   *
   * @param by who asked, for the history
   */
  repair(by: string): Promise<Repair[]>;
}

export interface Swept {
  readonly repairs: readonly Repair[];
  /** What only a person can mend. */
  readonly left: readonly (FindingRow & { readonly rule: string; readonly byHand: string })[];
}
