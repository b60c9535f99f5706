import type { ValuePath } from '../expression/evaluate.ts';
import { templatesIn } from '../expression/evaluate.ts';
import { didYouMean } from '../suggest.ts';
import { parseDuration } from '../time/duration.ts';
import type { ExpressionAccess } from './check-expressions.ts';
import { checkCondition, checkTemplate } from './check-expressions.ts';
import type { IndirectRef } from './check-graph.ts';
import type { TaskFile } from './file-schema.ts';
import type { ParamDefinition } from './model.ts';
import { taskInput } from './normalise.ts';
import type { Report } from './report.ts';
import { shown } from './issue-wording.ts';
import { readBySchema } from './schema-issues.ts';
import type { TaskTypeLike, TaskTypes } from './task-type-like.ts';
import { pathMatches } from './task-type-like.ts';

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
  checkEnv(file.env, [...path, 'env'], checks);
  const taskType = findTaskType(file, path, checks);
  if (taskType !== undefined) checkInput(id, file, taskType, checks);
  const access = accessOf(id, file, checks);
  for (const { text, path: inner } of templatesIn(file.env ?? {}))
    checkTemplate(text, [...path, 'env', ...inner], { ...access('env'), secrets: true }, checks.report);
  if (typeof file.if === 'string') checkCondition(file.if, [...path, 'if'], access('if'), checks.report);
}

/** How the expressions of one task may refer to others. */
function accessOf(
  id: string,
  file: TaskFile,
  { ids, params, report, indirect }: TaskChecks,
): (subject: string) => ExpressionAccess {
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

/** Also for `defaults.env`. */
export function checkEnv(
  env: TaskFile['env'],
  path: ValuePath,
  { writtenAt, report }: Pick<TaskChecks, 'writtenAt' | 'report'>,
): void {
  for (const [name, value] of Object.entries(env ?? {})) {
    const here = [...path, name];
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      report.add({
        code: 'bad-env-name',
        path: here,
        atKey: true,
        message: `${JSON.stringify(name)} cannot name an environment variable: letters, digits and "_" only, no digit first`,
      });
    else if (name.startsWith('KEELSON_'))
      report.add({
        code: 'reserved-env-name',
        path: here,
        atKey: true,
        message: `${name} is reserved: Keelson sets the variables that start with KEELSON_`,
      });
    if (typeof value === 'string' && value.includes('\0'))
      report.add({ code: 'bad-value', path: here, message: 'an environment variable cannot hold a NUL character' });
    const written = typeof value === 'string' ? undefined : writtenAt(here);
    if (written !== undefined && written !== String(value))
      report.add({
        code: 'ambiguous-text',
        path: here,
        message: `${written} is read as ${String(value)}`,
        suggestion: `put it in quotes: "${written}"`,
      });
  }
}

function findTaskType(file: TaskFile, path: ValuePath, { taskTypes, report }: TaskChecks): TaskTypeLike | undefined {
  if (file.run !== undefined && file.uses !== undefined) {
    report.add({
      code: 'run-and-uses',
      path: [...path, 'uses'],
      atKey: true,
      message: '"run" is short for "uses: shell": a task has one of the two',
      suggestion: file.uses === 'shell' ? 'leave "uses" out' : 'leave "run" out',
    });
    return undefined;
  }
  if (file.run === undefined && file.uses === undefined) {
    report.add({
      code: 'no-action',
      path,
      atKey: true,
      message: 'the task does nothing: it has neither "run" nor "uses"',
      suggestion: 'run: echo hello',
    });
    return undefined;
  }
  const name = file.uses ?? 'shell';
  const found = taskTypes.get(name);
  if (found === undefined)
    report.add({
      code: 'unknown-task-type',
      path: [...path, file.uses === undefined ? 'run' : 'uses'],
      message: `there is no task type ${JSON.stringify(name)}`,
      suggestion: didYouMean(name, taskTypes.keys()) ?? `the task types are ${[...taskTypes.keys()].join(', ')}`,
    });
  return found;
}

/** Checks `with` against the task type, and the expressions in it. */
function checkInput(id: string, file: TaskFile, taskType: TaskTypeLike, checks: TaskChecks): void {
  const path = ['tasks', id, 'with'];
  const { report } = checks;
  if (file.run !== undefined && file.with !== undefined && Object.hasOwn(file.with, 'run'))
    report.add({
      code: 'run-twice',
      path: [...path, 'run'],
      atKey: true,
      message: 'the script stands both in "run" and in "with.run"',
    });
  const input = taskInput(file);
  // The script of the short form does not stand under `with`.
  const placeOf = (inner: ValuePath): ValuePath =>
    file.run !== undefined && inner[0] === 'run' ? ['tasks', id, ...inner] : [...path, ...inner];
  readBySchema(taskType.input, input, path, report);
  const access = accessOf(id, file, checks);
  for (const { text, path: inner } of templatesIn(input)) {
    const field = inner.join('.');
    const code = taskType.code.find((one) => pathMatches(one.path, inner));
    if (code !== undefined)
      report.add({
        code: 'expression-in-code',
        path: placeOf(inner),
        message: `"\${{ }}" cannot stand in ${field}, which is executed: a value could change what it does`,
        suggestion: code.instead,
      });
    else if (taskType.moduleFields.some((one) => pathMatches(one, inner)))
      report.add({
        code: 'expression-not-allowed',
        path: placeOf(inner),
        message: `${field} names a file that is bundled when the definition is applied: "\${{ }}" has no value then`,
      });
    else
      checkTemplate(
        text,
        placeOf(inner),
        { ...access(`with.${field}`), secrets: taskType.secretFields.some((one) => pathMatches(one, inner)) },
        report,
      );
  }
}
