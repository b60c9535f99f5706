import type { InstanceChanges } from '../changes.ts';
import type { Reason } from '../reason.ts';
import type { ActiveAttempt, BroadcastRecord } from '../view.ts';
import { must } from './rows.ts';
import type { Lined, Rows } from './rows.ts';

/** Writes a decision, in the order in which the store does it. */
export function write(rows: Rows, changes: InstanceChanges): void {
  const { ends, finished, counters, commands, state } = rows;
  must(changes.live.revision === rows.live.revision + 1, 'each step is one revision');
  rows.live = changes.live;
  rows.note(changes.events);
  rows.earlier.push(...changes.earlier);
  writeCarried(rows, changes);
  for (const one of changes.finished) {
    must(!ends.has(one.task), `${one.task} ends once`);
    ends.set(one.task, one.state);
    finished.set(one.task, one);
  }
  for (const id of changes.released) must(rows.active.delete(id), 'only an active attempt is released');
  for (const [task, met] of changes.counters) counters.set(task, met);
  for (const task of changes.droppedCounters) counters.delete(task);
  checkHolding(rows, changes);
  if (changes.withdraw !== undefined) withdraw(rows, changes.withdraw);
  if (changes.release) releaseHeld(rows);
  if (changes.takeBack.length > 0) takeBack(rows, changes);
  if (changes.live.ending)
    for (const { task } of [...changes.ready, ...changes.delayed])
      must(acceptsFailure(rows, task), `${task} may start after a failure`);
  writeBroadcasts(rows, changes);
  for (const one of changes.ready) putIn(rows, rows.ready, one);
  for (const one of changes.delayed) putIn(rows, rows.delayed, one);
  for (const one of changes.held) {
    checkPlace(rows, one.task);
    rows.held.set(one.task, one);
  }
  if (changes.withdraw === 'settle' || changes.withdraw === 'skip')
    for (const { task, killReason } of rows.active.values())
      must(
        killReason !== null || (rows.live.state !== 'stopping' && acceptsFailure(rows, task)),
        `${task} is to end, too`,
      );
  if (changes.withdraw !== undefined && (rows.live.state === 'stopping' || rows.live.state === 'pausing'))
    commands.push({ type: 'settle' });
  if (changes.endRemaining?.broadcasts === true) rows.broadcasts.clear();
  if (changes.endRemaining !== undefined)
    for (const task of rows.plan.tasks.keys()) {
      if (ends.has(task)) continue;
      ends.set(task, changes.endRemaining.state);
      const { state: ended, reason } = changes.endRemaining;
      finished.set(task, { task, attempt: 0, state: ended, reason });
    }
  if (changes.end !== undefined) {
    state.end = changes.end.state;
    state.reason = changes.end.reason;
    must(ends.size === rows.plan.taskCount, 'every task ends with the instance at the latest');
    const { ready, delayed, held, active, broadcasts } = rows;
    for (const [place, line] of Object.entries({ ready, delayed, held, active, broadcasts }))
      must(line.size === 0, `${[...line.keys()].join(', ')} left in ${place} of an instance that has ended`);
    rows.counters.clear();
    commands.length = 0;
  }
}

function writeBroadcasts(rows: Rows, { broadcasts, subtasks, finishedSubtasks }: InstanceChanges): void {
  rows.finishedSubtasks.push(...finishedSubtasks);
  for (const { task, record, withdraw, promote } of broadcasts) {
    const bound = [...rows.active.values()].filter((one) => one.task === task && one.state === 'bound');
    if (withdraw !== undefined) for (const one of bound.splice(0)) endBound(rows, one, withdraw);
    must(bound.length >= promote, 'as many wait as are handed over');
    for (const one of bound.slice(0, promote)) handOver(rows, one);
    if (record === undefined) rows.broadcasts.delete(task);
    else rows.broadcasts.set(task, record);
  }
  for (const { task, attempt, incarnation, index, state } of subtasks) {
    const id = String(++rows.lastAttempt);
    const one: ActiveAttempt = {
      id,
      task,
      attempt,
      losses: 0,
      state: 'bound',
      killReason: null,
      subtask: { incarnation, index },
    };
    must(
      [...rows.active.values()].every((other) => other.task !== task || other.subtask?.incarnation !== incarnation),
      'a worker has one subtask of a broadcast',
    );
    rows.active.set(id, one);
    if (state === 'dispatched') handOver(rows, one);
  }
  for (const [task, record] of rows.broadcasts) checkCounts(rows, task, record);
}

function endBound(
  rows: Rows,
  one: ActiveAttempt,
  { state, reason }: { state: 'skipped' | 'stopped'; reason: Reason },
): void {
  const { id: attemptId, task, attempt, subtask } = one;
  rows.active.delete(attemptId);
  rows.finishedSubtasks.push({ task, attempt, attemptId, incarnation: subtask?.incarnation ?? '', state, reason });
}

function handOver(rows: Rows, one: ActiveAttempt): void {
  rows.active.set(one.id, { ...one, state: 'dispatched' });
  const { id: attemptId, task, attempt, subtask } = one;
  const incarnation = subtask?.incarnation ?? '';
  rows.note([{ type: 'task-dispatched', task, attempt, attemptId, incarnation, subtask: subtask?.index ?? 0 }]);
}

function checkCounts({ active, finishedSubtasks }: Rows, task: string, record: BroadcastRecord): void {
  const { total, waiting, running, succeeded, failed, lost, stopped, skipped } = record;
  must(waiting + running + succeeded + failed + lost + stopped + skipped === total, 'the counts add up');
  const subtasks = [...active.values()].filter((one) => one.task === task && one.subtask !== undefined);
  must(subtasks.filter(({ state }) => state === 'bound').length === waiting, 'as many wait as the row says');
  must(subtasks.filter(({ state }) => state !== 'bound').length === running, 'as many run as the row says');
  for (const [state, count] of Object.entries({ succeeded, failed, lost, stopped, skipped }))
    must(
      finishedSubtasks.filter((one) => one.task === task && one.state === state).length === count,
      `as many ${state}`,
    );
}

function acceptsFailure({ definition }: Rows, task: string): boolean {
  return Object.values(definition.tasks[task]?.needs ?? {}).some((accepts) => accepts.includes('failed'));
}

function checkPlace(rows: Rows, task: string): void {
  const busy =
    [rows.ready, rows.delayed, rows.held, rows.ends].some((line) => line.has(task)) ||
    [...rows.active.values()].some((one) => one.task === task);
  must(!busy, `${task} is in one place at a time`);
}

function putIn(rows: Rows, line: Map<string, Lined>, one: Lined & { readonly task: string }): void {
  checkPlace(rows, one.task);
  line.set(one.task, one);
}

function writeCarried(rows: Rows, { carried }: InstanceChanges): void {
  for (const task of carried) {
    const prior = rows.priorRows.get(task);
    must(prior !== undefined && !rows.ends.has(task), `${task} is carried, and once`);
    rows.ends.set(task, prior.state);
    rows.finished.set(task, prior);
    rows.carried.add(task);
  }
}

/** While it is pausing or paused nothing new is given to anybody. */
function checkHolding({ live }: Rows, { ready, delayed, subtasks, broadcasts, withdraw }: InstanceChanges): void {
  if (live.state !== 'pausing' && live.state !== 'paused') return;
  must(ready.length === 0 && delayed.length === 0, 'what is paused puts nothing in line');
  // A broadcast may have begun before the pause, in the same decision.
  if (withdraw === undefined)
    must(
      subtasks.every(({ state }) => state === 'bound'),
      'no subtask is handed over',
    );
  must(
    broadcasts.every(({ promote }) => promote === 0),
    'no more subtasks are handed over',
  );
}

/** Delays first, then the line; what claims and timers do meanwhile is seen by the next statement. */
function withdraw(rows: Rows, how: 'settle' | 'skip' | 'hold'): void {
  const { delayed, ready, held, active, commands } = rows;
  const away = (from: 'delayed' | 'ready' | 'held', line: Map<string, Lined>): void => {
    const tasks = [...line].map(([task, { attempt }]) => ({ task, attempt, from }));
    if (how === 'hold') for (const [task, one] of line) held.set(task, { task, delayMs: 0, ...one });
    line.clear();
    if (how !== 'hold' && tasks.length > 0) commands.push({ type: 'withdrawn', tasks });
  };
  away('delayed', delayed);
  rows.meanwhile();
  away('ready', ready);
  if (how === 'hold') return;
  if (how === 'skip') away('held', held);
  held.clear();
  for (const [id, attempt] of active) active.set(id, { ...attempt, killReason: 'stop' });
}

function releaseHeld({ held, ready, delayed }: Rows): void {
  for (const [task, one] of held) (one.cause === undefined ? ready : delayed).set(task, one);
  held.clear();
}

function takeBack(rows: Rows, { takeBack: wanted }: InstanceChanges): void {
  for (const from of ['delayed', 'ready', 'held'] as const) {
    for (const { task, by } of wanted) {
      const one = rows[from].get(task);
      if (one === undefined) continue;
      rows[from].delete(task);
      rows.commands.push({ type: 'withdrawn', tasks: [{ task, attempt: one.attempt, from }], by });
    }
    if (from === 'delayed') rows.meanwhile();
  }
  for (const { task, by } of wanted) rows.commands.push({ type: 'skip-task', task, by });
}
