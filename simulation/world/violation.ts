/** A rule that was broken, in words for a person. */
export interface Violation {
  /** Kebab case, stable. */
  readonly rule: string;
  readonly message: string;
  readonly instanceId?: string;
  /** Simulated milliseconds. */
  readonly at: number;
}
