import type { Backfill, BackfillDetail, BackfillPreview, BackfillRun } from '@keelson/protocol';
import { tableLines } from '../terminal/table.ts';
import { stateText } from '../terminal/states.ts';
import type { Paint, Terminal } from '../terminal/terminal.ts';
import { counted, elapsedText, localTime, plain } from '../terminal/text.ts';

const WORDS: Readonly<Record<string, string>> = {
  'already-succeeded': 'had succeeded already',
  'running-now': 'under way already',
  'upstream-not-succeeded': 'their upstream did not succeed',
  'backfill-cancelled': 'not started when it was cancelled',
  'backfill-halted': 'not started when it stopped at a failure',
};

/** `3 had succeeded already, 1 under way already`. */
export function leftOutText(leftOut: Readonly<Record<string, number>>): string {
  return Object.entries(leftOut)
    .map(([code, count]) => `${count} ${WORDS[code] ?? code}`)
    .join(', ');
}

const ORDER = ['failed', 'stopped', 'running', 'succeeded', 'skipped', 'pending', 'waiting'] as const;

/** `1 failed, 2 running, 12 succeeded of 31`. */
export function progressText({ counts }: Pick<Backfill, 'counts'>, paint: Paint): string {
  const parts = ORDER.filter((state) => counts[state] > 0).map((state) =>
    state === 'pending'
      ? `${counts.pending} to start`
      : stateText(state, paint).replace(state, `${counts[state]} ${state}`),
  );
  return `${parts.join(', ') || 'nothing'} of ${counts.total}`;
}

export function backfillStateText({ state, succeeded }: Pick<Backfill, 'state' | 'succeeded'>, paint: Paint): string {
  if (state === 'done')
    return succeeded === true ? paint('green', 'succeeded') : paint('red', 'done, not all succeeded');
  return paint(state === 'running' ? 'blue' : 'yellow', state);
}

/** What a backfill would do, and what may surprise about it. */
export function previewLines(preview: BackfillPreview, terminal: Terminal, paint: Paint): string[] {
  const { project, workflow, version, timezone, triggers, members, times, runs, first, last, leftOutDates } = preview;
  const left = leftOutText(preview.leftOut);
  const of = triggers.length === 0 ? 'the beginning of each date' : `the times of ${triggers.map(plain).join(', ')}`;
  const hidden = times * members.length - first.length - last.length;
  const row = (run: BackfillPreview['first'][number]): string[] => [
    inZone(run.runTime, timezone),
    run.runTime,
    ...(members.length > 1 ? [`${run.project}/${run.workflow}`] : []),
    run.leftOut === null ? paint('green', 'would run') : paint('dim', `left out: ${plain(run.leftOut.message)}`),
  ];
  const head = [timezone.toUpperCase(), 'UTC', ...(members.length > 1 ? ['WORKFLOW'] : []), ''];
  const gap = hidden > 0 ? [[paint('dim', `… ${hidden} more`)]] : [];
  return [
    `${paint('bold', `${project}/${workflow}`)} v${version}: ${counted(runs, 'run')} would be started${left === '' ? '' : `; left out: ${left}`}`,
    `${of} in ${timezone}; ${preview.parallel} at once, ${preview.order}, priority ${preview.priority}, ${preview.onFailure} on failure`,
    ...members
      .filter(({ dependsOn }) => dependsOn.length > 0)
      .map((one) => `then ${one.project}/${one.workflow} v${one.version}, after ${one.dependsOn.join(', ')}`),
    ...preview.notes.map((note) => paint('yellow', `note: ${plain(note)}`)),
    ...leftOutDates.map(({ date, message }) => paint('dim', `no run on ${date}: ${plain(message)}`)),
    '',
    ...tableLines(terminal, head, [...first.map(row), ...gap, ...last.map(row)]),
  ];
}

/** `2026-01-31 06:00:00`. */
function inZone(time: string, timeZone: string): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' }).format(new Date(time));
}

export function detailLines(backfill: BackfillDetail, paint: Paint): string[] {
  const { id, project, workflow, version, lastError, members, leftOut, events, createdAt, endedAt } = backfill;
  const took = elapsedText((endedAt === null ? Date.now() : Date.parse(endedAt)) - Date.parse(createdAt));
  const left = leftOutText(leftOut);
  return [
    `Backfill ${paint('bold', id)} of ${project}/${workflow} v${version}: ${backfillStateText(backfill, paint)} ${endedAt === null ? 'for' : 'after'} ${took}`,
    `  ${progressText(backfill, paint)}`,
    ...(left === '' ? [] : [`  left out: ${left}`]),
    ...(lastError === null ? [] : [paint('red', `  cannot go on at the moment: ${plain(lastError)}`)]),
    `  asked for: ${plain(JSON.stringify(backfill.request))}`,
    `  ${backfill.parallel} at once, priority ${backfill.priority}, ${backfill.onFailure} on failure`,
    ...members
      .filter(({ dependsOn }) => dependsOn.length > 0)
      .map((one) => `  with ${one.project}/${one.workflow} v${one.version}, after ${one.dependsOn.join(', ')}`),
    ...events.map(({ at, kind, by }) => paint('dim', `  ${localTime(at)}  ${kind} by ${plain(by)}`)),
  ];
}

export function runLines(runs: readonly BackfillRun[], terminal: Terminal, paint: Paint, now: number): string[] {
  const rows = runs.map(({ seq, project, workflow, runTime, state, instanceId, startedAt, endedAt, reason }) => [
    String(seq),
    `${project}/${workflow}`,
    runTime,
    state === 'pending' ? 'to start' : stateText(state, paint),
    instanceId ?? '',
    startedAt === null ? '' : elapsedText((endedAt === null ? now : Date.parse(endedAt)) - Date.parse(startedAt)),
    reason === null ? '' : plain(reason.message),
  ]);
  return tableLines(terminal, ['RUN', 'WORKFLOW', 'TIME', 'STATE', 'INSTANCE', 'TOOK', 'WHY'], rows);
}
