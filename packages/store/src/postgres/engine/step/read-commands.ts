import type { StepInput } from '../../../engine.ts';
import type { Rows } from '../../connection/session.ts';
import { activeById, activeFrom, dueCommands, endEvent, instanceFacts, lockCommanded } from './read.ts';
import type { ActiveRow } from './read.ts';
import { addEvent, admitLocked, claimEnd, noteFacts, strangersAmong } from './workbench.ts';
import type { Workbench } from './workbench.ts';

/** What a step may touch at the most, in tasks: beyond it instances with commands are left for the next one. */
const TASK_BUDGET = 20_000;

/** Locks instances that have commands and fills the workbench with these. */
export async function readCommands(bench: Workbench, { commandLimit, only }: StepInput): Promise<void> {
  const [locked = []] = await bench.transaction.flight([lockCommanded(commandLimit, only)]);
  // A full answer may have left some; for what comes later somebody is woken.
  bench.left ||= locked.length >= commandLimit;
  const fresh = admitLocked(bench, locked, TASK_BUDGET);
  if (fresh.length === 0) return;
  const [commands = [], factRows = []] = await bench.transaction.flight([
    dueCommands(fresh),
    instanceFacts(strangersAmong(bench, fresh)),
  ]);
  noteFacts(bench, factRows);
  await addCommands(bench, commands);
}

/** Takes up commands of instances that are locked. */
export async function addCommands(bench: Workbench, commands: Rows): Promise<void> {
  const ends = commands.filter((row) => row.kind === 'attempt-ended');
  const attempts = new Map<string, ActiveRow>();
  if (ends.length > 0) {
    const [active = []] = await bench.transaction.flight([activeById(ends.map((row) => row.payload.attemptId))]);
    for (const row of active) attempts.set(String(row.id), activeFrom(row));
  }
  for (const row of commands) addCommand(bench, row, attempts);
}

function addCommand(bench: Workbench, row: Rows[number], attempts: Map<string, ActiveRow>): void {
  bench.commandIds.push(row.id);
  switch (row.kind) {
    case 'attempt-ended': {
      const attempt = attempts.get(row.payload.attemptId);
      const fenced = row.payload.nonce === undefined || attempt?.nonce === row.payload.nonce;
      // An end that came by another way meanwhile leaves an event-less command; `settle` makes sure that somebody still looks.
      const fits = attempt !== undefined && attempt.instanceId === row.instance_id && fenced;
      const applies = fits && claimEnd(bench, attempt.id);
      return addEvent(bench, row.instance_id, applies ? endEvent(attempt, row.payload) : { type: 'settle' });
    }
    case 'stop':
    case 'pause':
    case 'resume':
      return addEvent(bench, row.instance_id, { type: row.kind, by: row.payload.by });
    case 'skip-task':
      return addEvent(bench, row.instance_id, { type: 'skip-task', task: row.payload.task, by: row.payload.by });
    case 'set-priority':
      return addEvent(bench, row.instance_id, {
        type: 'set-priority',
        priority: row.payload.priority,
        by: row.payload.by,
      });
    case 'begin': {
      const { mode, task, by } = row.payload;
      return addEvent(bench, row.instance_id, { type: 'begin', mode, by, ...(typeof task === 'string' && { task }) });
    }
    case 'discard':
      return addEvent(bench, row.instance_id, { type: 'discard', reason: row.payload.reason });
    case 'withdrawn': {
      const { tasks, by } = row.payload;
      return addEvent(bench, row.instance_id, { type: 'withdrawn', tasks, ...(typeof by === 'string' && { by }) });
    }
    case 'start':
      return addEvent(bench, row.instance_id, { type: 'start' });
    case 'fan-out':
      return addEvent(bench, row.instance_id, { type: 'fan-out', task: row.payload.task });
    case 'settle':
      return addEvent(bench, row.instance_id, { type: 'settle' });
    default:
      throw new Error(`command ${row.id} has the unknown kind ${row.kind}`);
  }
}
