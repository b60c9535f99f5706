/** What was done to the rows of a system at work, and what the doctor is to say and do about it. */
export interface Damage {
  readonly rule: string;
  /** $1: the instance in the middle. */
  readonly sql: string;
  readonly finds: RegExp;
  /** What the repair says; absent: only a person can mend it. */
  readonly does?: RegExp;
  /** A question whose answer is `true` after the repair. */
  readonly holds?: string;
  /** Other rules that the same damage breaks. */
  readonly also?: readonly string[];
  /** What was damaged has no instance that could have a history. */
  readonly noHistory?: true;
}
