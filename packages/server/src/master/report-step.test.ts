import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReportedEnd, StepInput, StepOutcome } from '@keelson/store';
import { systemClock } from '@keelson/core/system';
import pino from 'pino';
import type { MasterContext } from './context.ts';
import { newMasterMetrics } from './metrics.ts';
import { applyInParts } from './report-step.ts';
import type { PendingReport, ReportDesk } from './report-step.ts';

const timeout = Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' });

/** A desk whose steps are run by `step`; it answers what was stepped, what became a command, and what was settled. */
function desk(step: (reports: readonly ReportedEnd[]) => void) {
  const [steps, kept, settled]: [string[][], string[], string[]] = [[], [], []];
  const names = (reports: readonly ReportedEnd[]): string[] => reports.map(({ attemptId }) => attemptId);
  const engine = {
    step: async ({ reports }: StepInput): Promise<StepOutcome> => {
      step(reports);
      steps.push(names(reports));
      const none: never[] = [];
      const lists = {
        decided: none,
        settled: none,
        postponed: none,
        unknownVersions: none,
        bound: none,
        claimed: none,
        followups: none,
      };
      const told = { waiting: none, killing: none, ended: none, subtasks: none };
      return { ...lists, ...told, delayed: false, moreCommands: false, followups: [], alerts: false };
    },
    deferReports: async (reports: readonly ReportedEnd[]) => void kept.push(...names(reports)),
  };
  const context = {
    store: { engine },
    signals: { send: () => undefined },
    plans: { get: () => undefined },
    metrics: newMasterMetrics(),
    log: pino({ level: 'silent' }),
    clock: systemClock,
    sessions: { offerAll: () => [], all: () => [], offer: () => undefined },
    line: {
      isEmpty: () => true,
      isAllEmpty: () => true,
      now: () => 0,
      grew: () => undefined,
      drained: () => undefined,
    },
    wake: { commands: () => undefined, claims: () => undefined, due: () => undefined, followup: () => undefined },
  } as unknown as MasterContext;
  const settle = (entries: readonly PendingReport[]): void =>
    void settled.push(...entries.map(({ report }) => report.attemptId));
  const made: ReportDesk = { context, handover: { bound: async () => undefined }, settle, again: () => undefined };
  return { desk: made, steps, kept, settled };
}

function reported(attemptId: string, size = 0): PendingReport {
  const report = { instanceId: attemptId, attemptId, task: 'a', generation: 1, incarnationId: '1', nonce: 'n' };
  const said = { ...report, end: 'succeeded', startedAgoMs: 1, endedAgoMs: 1 } as ReportedEnd;
  return { report: said, size, receivedAt: 0, settle: () => undefined, settled: Promise.resolve() };
}

test('reports with large outputs do not all go in one step', async () => {
  const { desk: made, steps } = desk(() => undefined);
  const large = 3 * 1024 * 1024;
  await applyInParts(made, [
    reported('1'),
    reported('2', large),
    reported('3', large),
    reported('4'),
    reported('5', 9e6),
  ]);
  assert.deepEqual(steps, [['1', '2'], ['3', '4'], ['5']]);
});

test('a step that does not end in time goes in halves; the one that never does becomes a command', async () => {
  const {
    desk: made,
    steps,
    kept,
    settled,
  } = desk((reports) => {
    if (reports.length > 2 || reports.some(({ attemptId }) => attemptId === '3')) throw timeout;
  });
  await applyInParts(
    made,
    ['1', '2', '3', '4', '5', '6', '7'].map((id) => reported(id)),
  );
  assert.deepEqual(steps, [['1', '2'], ['4'], ['5', '6'], ['7']]);
  assert.deepEqual(kept, ['3']);
  assert.deepEqual(settled.toSorted(), ['1', '2', '3', '4', '5', '6', '7']);
});
