/** Slots under the limits of workflows, and who of those that wait gets one. */
export interface Admission {
  /**
   * One transaction over the workflows of which somebody left word that an instance came or ended: gives their free slots to instances in line,
   * each with the command that begins it, and discards what a policy does not let wait. Safe to run again after an unknown outcome, and
   * with any number of masters at once.
   */
  admit(): Promise<Admitted>;
}

export interface Admitted {
  /** Instances that were given a slot. */
  readonly admitted: readonly string[];
  /** Instances that were told that there is none for them. */
  readonly discarded: readonly string[];
  /** What is left to look at: more than one transaction takes, or something that another one holds at the moment; else nothing. */
  readonly left: 'more' | 'busy' | 'nothing';
}

/** As in `concurrency.policy` of a workflow. */
export type ConcurrencyPolicy = 'parallel' | 'serial-wait' | 'serial-discard' | 'serial-priority';
