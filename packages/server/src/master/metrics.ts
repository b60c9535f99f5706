/** Counters of one master, read by `/metrics`. */
export interface MasterMetrics {
  steps: number;
  stepRetries: number;
  stepFailures: number;
  commandsParked: number;
  instancesAdmitted: number;
  instancesDiscarded: number;
  backfillStarts: number;
  attemptsDispatched: number;
  attemptsEnded: number;
  reportsSettled: number;
  reportsRefused: number;
  /** By code: calls of workers that were refused. */
  readonly callsRefused: Record<string, number>;
  leasesExpired: number;
  /** Times of schedules that were decided about, by what became of them. */
  readonly fires: Record<'fired' | 'misfired' | 'skipped' | 'failed', number>;
  /** Told how late each instance of a schedule was committed (seconds). */
  onFireLag(seconds: number): void;
  /** By rule: what was mended. */
  readonly sweeperRedrives: Record<string, number>;
  /** By rule: what only a person can mend. */
  readonly sweeperFindings: Record<string, number>;
}

export function newMasterMetrics(): MasterMetrics {
  return {
    steps: 0,
    stepRetries: 0,
    stepFailures: 0,
    commandsParked: 0,
    instancesAdmitted: 0,
    instancesDiscarded: 0,
    backfillStarts: 0,
    attemptsDispatched: 0,
    attemptsEnded: 0,
    reportsSettled: 0,
    reportsRefused: 0,
    callsRefused: {},
    leasesExpired: 0,
    fires: { fired: 0, misfired: 0, skipped: 0, failed: 0 },
    onFireLag: () => undefined,
    sweeperRedrives: {},
    sweeperFindings: {},
  };
}
