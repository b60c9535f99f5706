/** What can be kept for different times. The first four can be set for a project, too. */
export const RETENTION_SUBJECTS = [
  'succeeded',
  'unsuccessful',
  'logs',
  'fires',
  'alerts',
  'command-errors',
  'workers',
  'blobs',
] as const;
export type RetentionSubject = (typeof RETENTION_SUBJECTS)[number];

/** Those of them that a project can have its own rule for. */
export const PROJECT_SUBJECTS: readonly RetentionSubject[] = ['succeeded', 'unsuccessful', 'logs', 'fires'];

/** Milliseconds; null: for ever. */
export type Keep = number | null;

/** No rule is shorter. */
export const SHORTEST_KEEP_MS = 3_600_000;

export interface RetentionPolicy {
  readonly installation: Readonly<Record<RetentionSubject, Keep>>;
  /** Only projects that have rules of their own, and only those rules. */
  readonly projects: Readonly<Record<string, Readonly<Partial<Record<RetentionSubject, Keep>>>>>;
  readonly lastRun: RetentionRun | null;
}

export interface RetentionRun {
  readonly beganAt: string;
  /** Null: it is under way, or was cut off. */
  readonly endedAt: string | null;
  readonly removed: Removed;
}

/** What was removed, or would be: rows, but for `partitions` (of a million instance ids each) and what ends in `Bytes`. */
export interface Removed {
  readonly instances: number;
  readonly partitions: number;
  readonly logs: number;
  readonly fires: number;
  readonly alerts: number;
  readonly commandErrors: number;
  readonly workers: number;
  readonly blobs: number;
  readonly blobBytes: number;
}

export type RetentionChanges = Readonly<Partial<Record<RetentionSubject, Keep | 'inherit'>>>;

export interface RetentionRunOptions {
  /** Asked between statements: true ends the run early; what is left is for the next one. */
  readonly stopped?: () => boolean;
  /** Awaited after each statement that removed something, with the milliseconds that it took. */
  readonly pause?: (tookMs: number) => Promise<void>;
  /** Do nothing if a run began less than so many milliseconds ago. */
  readonly unlessWithinMs?: number;
}

export type RetentionOutcome =
  /** `more`: it was stopped early, or something was in use and will be tried again. */
  | { readonly kind: 'done'; readonly removed: Removed; readonly more: boolean }
  /** Another process is at it. */
  | { readonly kind: 'busy' }
  | { readonly kind: 'not-due' };

/** How long things are kept, and their removal. Nothing that lives, or that something living needs, is ever removed. */
export interface Retention {
  policy(): Promise<RetentionPolicy>;
  /**
   * Sets some rules, of the installation or of a project; `inherit` drops a project's own.
   *
   * @throws {StoreError} `unknown-project`, `invalid-retention`
   */
  set(project: string | undefined, changes: RetentionChanges, by: string): Promise<void>;
  /** What a run would remove now. Reads only; with much to remove it takes a while. */
  due(): Promise<Removed>;
  /** Removes what is past its time, in small pieces, one process at a time. May be cut off anywhere: the next run goes on. */
  run(options?: RetentionRunOptions): Promise<RetentionOutcome>;
  /** Whether there was an instance of this id that retention has removed. */
  isArchived(instanceId: string): Promise<boolean>;
  close(): Promise<void>;
}
