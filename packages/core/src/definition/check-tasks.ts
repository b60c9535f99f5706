import type { ValuePath } from '../expression/evaluate.ts';
import { didYouMean } from '../suggest.ts';
import { parseDuration } from '../time/duration.ts';
import type { AccessOf } from './check-action.ts';
import { checkAction } from './check-action.ts';
import { checkBroadcast } from './check-broadcast.ts';
import { checkCondition } from './check-expressions.ts';
import type { IndirectRef } from './check-graph.ts';
import type { TaskFile } from './file-schema.ts';
import { shown } from './issue-wording.ts';
import type { ParamDefinition } from './model.ts';
import type { Report } from './report.ts';
import type { TaskTypes } from './task-type-like.ts';

export interface TaskChecks {
  readonly ids: ReadonlySet<string>;
  readonly params: ReadonlyMap<string, ParamDefinition>;
  readonly taskTypes: TaskTypes;
  readonly writtenAt: (path: ValuePath) => string | undefined;
  readonly report: Report;
  /** Gets the references that only the whole graph can judge. */
  readonly indirect: IndirectRef[];
}

/** Everything about one task that its schema cannot say. */
export function checkTask(id: string, file: TaskFile, checks: TaskChecks): void {
  const path = ['tasks', id];
  checkNeeds(id, file, checks);
  checkDurations(file, path, checks.report);
  const access = accessOf(id, file, checks);
  checkAction(file, path, access, checks);
  checkBroadcast(file, path, access, checks);
  if (typeof file.if === 'string') checkCondition(file.if, [...path, 'if'], access('if'), checks.report);
}

/** How the expressions of one task may refer to others. */
function accessOf(id: string, file: TaskFile, { ids, params, report, indirect }: TaskChecks): AccessOf {
  const direct = new Set(needIds(file));
  const tasks = (target: string, path: ValuePath): void => {
    if (target === id)
      report.add({ code: 'self-reference', path, message: `task ${id} cannot read its own outputs or state` });
    else if (!ids.has(target))
      report.add({
        code: 'unknown-task',
        path,
        message: `there is no task ${JSON.stringify(target)}`,
        suggestion: didYouMean(target, ids),
      });
    else if (!direct.has(target)) indirect.push({ task: id, target, path });
  };
  return (subject) => ({ subject, params, tasks, secrets: false });
}

export function needIds(file: TaskFile): string[] {
  return file.needs === undefined ? [] : Array.isArray(file.needs) ? file.needs : Object.keys(file.needs);
}

/** Where the need of a task stands: a list position, or a key of the map. */
export function needPath(id: string, file: TaskFile, need: string): ValuePath {
  return ['tasks', id, 'needs', Array.isArray(file.needs) ? Math.max(0, file.needs.indexOf(need)) : need];
}

function checkNeeds(id: string, file: TaskFile, { ids, report }: TaskChecks): void {
  const seen = new Set<string>();
  const listed = Array.isArray(file.needs);
  for (const [index, need] of needIds(file).entries()) {
    const place = { path: ['tasks', id, 'needs', listed ? index : need], atKey: !listed };
    if (need === id) report.add({ ...place, code: 'self-need', message: `task ${id} needs itself` });
    else if (!ids.has(need))
      report.add({
        ...place,
        code: 'unknown-need',
        message: `there is no task ${JSON.stringify(need)}`,
        suggestion: didYouMean(need, ids),
      });
    else if (seen.has(need))
      report.add({ ...place, code: 'duplicate-need', message: `task ${JSON.stringify(need)} is named twice` });
    seen.add(need);
  }
}

/** Used for `defaults` too, which share these keys. */
export function checkDurations(
  file: Pick<TaskFile, 'timeout' | 'onTimeout' | 'retry'> & { readonly delay?: string | undefined },
  path: ValuePath,
  report: Report,
): void {
  const retry = typeof file.retry === 'object' ? file.retry : {};
  const durations: readonly (readonly [string | undefined, ValuePath])[] = [
    [file.timeout, ['timeout']],
    [file.delay, ['delay']],
    [retry.delay, ['retry', 'delay']],
    [retry.maxDelay, ['retry', 'maxDelay']],
  ];
  for (const [text, inner] of durations) {
    if (text !== undefined && parseDuration(text) === undefined)
      report.add({
        code: 'bad-duration',
        path: [...path, ...inner],
        message: `${shown(text)} is longer than ten years`,
      });
  }
  if (file.timeout !== undefined && parseDuration(file.timeout) === 0)
    report.add({
      code: 'bad-duration',
      path: [...path, 'timeout'],
      message: 'a timeout must be longer than nothing',
      suggestion: 'leave it out for no timeout',
    });
}
