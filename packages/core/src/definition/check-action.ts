import type { ValuePath } from '../expression/evaluate.ts';
import { templatesIn } from '../expression/evaluate.ts';
import { didYouMean } from '../suggest.ts';
import type { ExpressionAccess } from './check-expressions.ts';
import { checkTemplate } from './check-expressions.ts';
import type { ActionFile, TaskFile } from './file-schema.ts';
import { taskInput } from './normalise.ts';
import type { Report } from './report.ts';
import { readBySchema } from './schema-issues.ts';
import type { TaskTypeLike, TaskTypes } from './task-type-like.ts';
import { pathMatches } from './task-type-like.ts';

export interface ActionChecks {
  readonly taskTypes: TaskTypes;
  readonly writtenAt: (path: ValuePath) => string | undefined;
  readonly report: Report;
}

/** How the expressions at one place (`if`, `env`, …) of a task may refer to what else there is. */
export type AccessOf = (subject: string) => ExpressionAccess;

/**
 * What a task, or a step of it, does: its type, the input of that, its environment.
 *
 * @param otherwise the task type where neither `run` nor `uses` says one; undefined: that is an error
 */
export function checkAction(
  file: ActionFile & Pick<TaskFile, 'env'>,
  path: ValuePath,
  access: AccessOf,
  checks: ActionChecks,
  otherwise?: string,
): void {
  checkEnv(file.env, [...path, 'env'], checks);
  const taskType = findTaskType(file, path, checks, otherwise);
  if (taskType !== undefined) checkInput(file, path, taskType, access, checks);
  for (const { text, path: inner } of templatesIn(file.env ?? {}))
    checkTemplate(text, [...path, 'env', ...inner], { ...access('env'), secrets: true }, checks.report);
}

/** Also for `defaults.env`. */
export function checkEnv(
  env: TaskFile['env'],
  path: ValuePath,
  { writtenAt, report }: Pick<ActionChecks, 'writtenAt' | 'report'>,
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

function findTaskType(
  file: ActionFile,
  path: ValuePath,
  { taskTypes, report }: ActionChecks,
  otherwise: string | undefined,
): TaskTypeLike | undefined {
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
  const name = file.uses ?? (file.run !== undefined ? 'shell' : otherwise);
  if (name === undefined) {
    report.add({
      code: 'no-action',
      path,
      atKey: true,
      message: 'it does nothing: it has neither "run" nor "uses"',
      suggestion: 'run: echo hello',
    });
    return undefined;
  }
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
function checkInput(
  file: ActionFile,
  place: ValuePath,
  taskType: TaskTypeLike,
  access: AccessOf,
  { report }: ActionChecks,
): void {
  const path = [...place, 'with'];
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
    file.run !== undefined && inner[0] === 'run' ? [...place, ...inner] : [...path, ...inner];
  readBySchema(taskType.input, input, path, report);
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
