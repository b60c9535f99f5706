import type { JsonObject } from '../json.ts';
import { closest, didYouMean } from '../suggest.ts';
import { timeZoneName } from '../time/zoned.ts';
import { hasExpression } from '../expression/template.ts';
import type { ValuePath } from '../expression/evaluate.ts';
import { templatesIn } from '../expression/evaluate.ts';
import { canonicalJson } from './canonical-json.ts';
import { checkThatItFires } from './check-trigger-fires.ts';
import { readTriggerKind } from './check-trigger-kind.ts';
import { readTriggerLimits } from './check-trigger-limits.ts';
import { contentHash } from './content-hash.ts';
import { withoutExtensionsIn } from './extensions.ts';
import type { TriggerFile } from './file-schema.ts';
import { triggerSchema } from './file-schema.ts';
import { MAX_TRIGGERS } from './limits.ts';
import type { ParamDefinition, TriggerDefinition } from './model.ts';
import { readParamValue } from './param-value.ts';
import type { Report } from './report.ts';
import { readBySchema } from './schema-issues.ts';

/** Checks an IANA zone; the result is its usual spelling, or UTC when it was refused. */
export function readTimeZone(zone: string, path: ValuePath, report: Report): string {
  const name = timeZoneName(zone);
  if (name !== undefined) return name;
  const near = closest(zone, Intl.supportedValuesOf('timeZone'));
  report.add({
    code: 'bad-timezone',
    path,
    message: `there is no time zone ${JSON.stringify(zone)}`,
    suggestion:
      near === undefined
        ? 'use an IANA name such as "Europe/Berlin", "Asia/Shanghai" or "UTC"'
        : `did you mean ${JSON.stringify(near)}?`,
  });
  return 'UTC';
}

/** The triggers, and the workflow's zone: its own, else its only trigger's, else UTC. */
export function readTriggers(
  section: readonly unknown[],
  ownZone: string | undefined,
  params: ReadonlyMap<string, ParamDefinition>,
  report: Report,
  nowMs: number | undefined,
): { timezone: string; triggers: TriggerDefinition[] } {
  const files = section.map((raw, index) =>
    readBySchema(triggerSchema, withoutExtensionsIn(raw, ['dailyInterval']), ['triggers', index], report),
  );
  const workflowZone = ownZone === undefined ? undefined : readTimeZone(ownZone, ['timezone'], report);
  const zones = files.map((file, index) =>
    file?.timezone === undefined ? undefined : readTimeZone(file.timezone, ['triggers', index, 'timezone'], report),
  );
  const timezone = workflowZone ?? (zones.length === 1 ? zones[0] : undefined) ?? 'UTC';
  const triggers = files.flatMap((file, index) =>
    file === undefined ? [] : readTrigger(file, zones[index] ?? timezone, ['triggers', index], params, report),
  );
  refuseTwins(files, triggers, report);
  if (section.length > MAX_TRIGGERS)
    report.add({
      code: 'too-many-triggers',
      path: ['triggers'],
      atKey: true,
      message: `a workflow has at most ${MAX_TRIGGERS} triggers, not ${section.length}`,
    });
  // Where something else is wrong, that is what the author should hear of.
  if (!report.failed())
    for (const [index, trigger] of triggers.entries()) checkThatItFires(trigger, ['triggers', index], report, nowMs);
  return { timezone, triggers };
}

function readTrigger(
  file: TriggerFile,
  timezone: string,
  path: ValuePath,
  params: ReadonlyMap<string, ParamDefinition>,
  report: Report,
): TriggerDefinition[] {
  const given = (file.params ?? {}) as JsonObject;
  const kind = readTriggerKind(file, path, report);
  const content = {
    ...kind,
    timezone,
    misfire: file.misfire ?? ('fire-once' as const),
    params: readTriggerParams(given, path, params, report),
    ...readTriggerLimits(file, timezone, path, report),
  };
  if (kind === undefined) return [];
  return [{ id: file.id ?? contentHash(canonicalJson(content)), ...content } as TriggerDefinition];
}

function readTriggerParams(
  given: JsonObject,
  path: ValuePath,
  params: ReadonlyMap<string, ParamDefinition>,
  report: Report,
): JsonObject {
  for (const { path: inner } of templatesIn(given))
    report.add({
      code: 'expression-not-allowed',
      path: [...path, 'params', ...inner],
      message: 'a trigger gives fixed values: "${{ }}" is not evaluated here',
      suggestion: 'put the expression into the default of the parameter',
    });
  const read = Object.entries(given).map(([name, value]): [string, typeof value] => {
    const definition = params.get(name);
    if (definition === undefined) {
      report.add({
        code: 'unknown-param',
        path: [...path, 'params', name],
        atKey: true,
        message: `there is no parameter ${JSON.stringify(name)}`,
        suggestion: didYouMean(name, params.keys()),
      });
      return [name, value];
    }
    if (typeof value === 'string' && hasExpression(value)) return [name, value];
    const reading = readParamValue(value, definition);
    if (!reading.ok)
      report.add({
        code: reading.code,
        path: [...path, 'params', name],
        message: `parameter ${name} ${reading.message}`,
      });
    return [name, reading.ok ? reading.value : value];
  });
  for (const [name, definition] of params) {
    if (definition.default === undefined && !Object.hasOwn(given, name)) {
      report.add({
        severity: 'warning',
        code: 'missing-param',
        path,
        message: `parameter ${name} has no default and this trigger gives it no value: each fire fails unless the project has one`,
      });
    }
  }
  return Object.fromEntries(read);
}

function refuseTwins(
  files: readonly (TriggerFile | undefined)[],
  triggers: readonly TriggerDefinition[],
  report: Report,
): void {
  // Only when all were readable do the two lists run in step.
  if (files.length !== triggers.length) return;
  const seen = new Set<string>();
  for (const [index, { id }] of triggers.entries()) {
    const given = files[index]?.id !== undefined;
    if (seen.has(id))
      report.add({
        code: 'duplicate-trigger',
        path: given ? ['triggers', index, 'id'] : ['triggers', index],
        message: given ? `the trigger id ${JSON.stringify(id)} is used twice` : 'two triggers say the same',
        suggestion: given ? undefined : 'take one away, or give each an id of its own',
      });
    seen.add(id);
  }
}
