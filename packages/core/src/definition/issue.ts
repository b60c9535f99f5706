/** One thing that is wrong with (or doubtful in) a definition, and where. */
export interface DefinitionIssue {
  readonly severity: 'error' | 'warning';
  /** Stable, kebab-case: `unknown-key`, `cycle`, `unknown-need`, `bad-cron`, … */
  readonly code: string;
  readonly message: string;
  /** What to do about it, when there is something better to say than the message. */
  readonly suggestion?: string;
  /** From the definition's root, as in `tasks.load.needs[1]`. */
  readonly path: string;
  /** 1-based; absent when the definition did not come from text. */
  readonly line?: number;
  readonly column?: number;
}
