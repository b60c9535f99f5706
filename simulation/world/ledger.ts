/** One run of one attempt, as the task itself would write it down: outside everything that the product knows. */
export interface Run {
  readonly token: string;
  readonly instanceId: string;
  readonly task: string;
  readonly attemptId: string;
  readonly incarnationId: string;
  readonly worker: string;
  /** Whether it is one worker's part of a broadcast. */
  readonly subtask: boolean;
  readonly startedAt: number;
  endedAt: number | undefined;
  how: 'succeeded' | 'failed' | 'killed' | undefined;
}

export interface Ledger {
  readonly runs: readonly Run[];
  /** Those under way, in the order of their start. */
  readonly open: ReadonlySet<Run>;
  ofAttempt(attemptId: string): Run | undefined;
  start(run: Omit<Run, 'startedAt' | 'endedAt' | 'how'>): Run;
  end(run: Run, how: NonNullable<Run['how']>): void;
}

export interface LedgerWatch {
  /** Called with each run before it is written. */
  starting(run: Run, ledger: Ledger): void;
  ended(run: Run): void;
}

export function openLedger(now: () => number, watch: LedgerWatch): Ledger {
  const runs: Run[] = [];
  const open = new Set<Run>();
  const byAttempt = new Map<string, Run>();
  const ledger: Ledger = {
    runs,
    open,
    ofAttempt: (attemptId) => byAttempt.get(attemptId),
    start: (of) => {
      const run: Run = { ...of, startedAt: now(), endedAt: undefined, how: undefined };
      watch.starting(run, ledger);
      runs.push(run);
      open.add(run);
      byAttempt.set(run.attemptId, run);
      return run;
    },
    end: (run, how) => {
      if (!open.delete(run)) return;
      run.endedAt = now();
      run.how = how;
      watch.ended(run);
    },
  };
  return ledger;
}
