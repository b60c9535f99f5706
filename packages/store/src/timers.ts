/** What falls due: delays, timeouts, leases. A master sleeps until `nextDue` or a wake-up. */
export interface Timers {
  /** Moves tasks whose delay is over into the line. Answers the worker groups that got some; null stands for commands, of broadcasts. */
  releaseDelayed(limit: number): Promise<(string | null)[]>;
  /** Asks for the end of attempts past their timeout, or writes the warning that the task wants instead. */
  strikeTimeouts(limit: number): Promise<StruckTimeout[]>;
  /** Milliseconds until something of this falls due; undefined when nothing waits. */
  nextDue(): Promise<number | undefined>;
  /** The database's clock and timeline, to notice jumps and failovers. */
  clock(): Promise<{ readonly nowMs: number; readonly timeline: number }>;
}

export interface StruckTimeout {
  readonly instanceId: string;
  readonly task: string;
  readonly action: 'fail' | 'warn';
}
