import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { didYouMean } from '@keelson/core';
import type { JsonObject } from '@keelson/core';
import { parse as parseYaml } from 'yaml';
import { CliFailure, systemErrorCode, usageFailure } from './failure.ts';

/**
 * Reads `-p name=text` and `-p name:=JSON`. Text stands for a value of whatever type the workflow declares; the server reads it.
 * A later one wins. Throws a usage failure that names the bad one.
 */
export function parseParams(given: readonly string[]): JsonObject {
  const params = new Map<string, JsonObject[string]>();
  for (const text of given) {
    const match = /^([A-Za-z_][A-Za-z0-9_]*)(:?=)([^]*)$/.exec(text);
    if (match === null)
      throw usageFailure(`-p ${JSON.stringify(text)}: a parameter is NAME=VALUE, or NAME:=JSON for a typed value`);
    const [, name = '', operator, value = ''] = match;
    params.set(name, operator === '=' ? value : parseJson(name, value));
  }
  return Object.fromEntries(params);
}

function parseJson(name: string, text: string): JsonObject[string] {
  try {
    return JSON.parse(text) as JsonObject[string];
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw usageFailure(
      `-p ${name}:=…: this is not JSON: ${why}`,
      `text needs its quotes in JSON; ${name}=TEXT takes it as it is`,
    );
  }
}

/** Reads a YAML or JSON file that maps names to values. */
export async function readParamsFile(cwd: string, file: string): Promise<JsonObject> {
  let text: string;
  try {
    text = await readFile(resolve(cwd, file), 'utf8');
  } catch (error) {
    throw new CliFailure(
      'cannot-read',
      `--params-file ${file}: ${systemErrorCode(error) === 'ENOENT' ? 'there is no such file' : `cannot be read (${systemErrorCode(error) ?? String(error)})`}`,
    );
  }
  let value: unknown;
  try {
    value = parseYaml(text, { prettyErrors: true, schema: 'core' });
  } catch (error) {
    const [why = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new CliFailure('bad-params-file', `--params-file ${file}: ${why}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CliFailure('bad-params-file', `--params-file ${file}: must be a map from names to values`);
  return value as JsonObject;
}

/**
 * Reads a time of an option as RFC 3339 and gives it with an offset: `2026-01-31T08:00:00+08:00`, or without one the local time of this machine.
 */
export function parseRunTime(text: string, option = '--at'): string {
  const match = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|[+-]\d{2}:\d{2})?)?$/.exec(text);
  const [, date = '', time = '00:00', offset = ''] = match ?? [];
  const whole = `${date}T${time.length === 5 ? `${time}:00` : time}${offset}`;
  const parsed = match === null ? Number.NaN : Date.parse(whole);
  // Date.parse takes 30 February as 2 March.
  if (Number.isNaN(parsed) || new Date(`${date}T00:00:00Z`).toISOString().slice(0, 10) !== date) {
    throw usageFailure(
      `${option} ${JSON.stringify(text)} is no time`,
      'a time looks like 2026-01-31, 2026-01-31T08:00 (local time of this machine) or 2026-01-31T08:00:00+08:00',
    );
  }
  return offset === '' ? new Date(parsed).toISOString() : whole;
}

/** For an option with a fixed set of values: the value, or a usage failure with the nearest one. */
export function oneOf<Value extends string>(option: string, text: string, values: readonly Value[]): Value {
  const found = values.find((value) => value === text);
  if (found !== undefined) return found;
  throw usageFailure(
    `${option} ${JSON.stringify(text)}: must be one of ${values.join(', ')}`,
    didYouMean(text, values),
  );
}
