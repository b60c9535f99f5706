import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { JsonValue } from '@keelson/core';
import { outputKeyProblem, outputProblem } from '../storable-json.ts';
import type { FailureReason } from '../task-type.ts';

/** The whole file; each value has a limit of its own. */
const MAX_FILE_BYTES = 1024 * 1024;
const LINE = /^([A-Za-z_][A-Za-z0-9_]*)(:?=)(.*)$/s;
const EXCERPT_LENGTH = 80;

export type Outputs = Readonly<Record<string, JsonValue>>;
export type OutputsReading =
  | { readonly ok: true; readonly outputs: Outputs }
  | { readonly ok: false; readonly reason: FailureReason };

/**
 * Reads the file that `$KEELSON_OUTPUT` named to the task. A file that the task removed is one without outputs. What
 * the task put there is not trusted: a link, a pipe or a huge file is refused (`bad-output`) without being read.
 */
export async function readOutputs(path: string): Promise<OutputsReading> {
  let file;
  try {
    // Without O_NONBLOCK, opening a pipe that the task put there would wait for ever.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return { ok: true, outputs: {} };
    return badOutput(`$KEELSON_OUTPUT cannot be read (${code}): it must stay the plain file that it was`);
  }
  await using opened = file;
  const stat = await opened.stat();
  if (!stat.isFile()) return badOutput('$KEELSON_OUTPUT is no plain file any more');
  if (stat.size > MAX_FILE_BYTES) {
    return badOutput(`$KEELSON_OUTPUT holds ${stat.size} bytes; at most ${MAX_FILE_BYTES / 1024} KiB fit`);
  }
  return parseOutputs(await opened.readFile());
}

/**
 * Parses the lines of an outputs file: `key=value` (a string, verbatim) or `key:=JSON`. Empty lines are skipped, CRLF
 * is taken for LF, and of a key that comes twice the last value stands.
 */
export function parseOutputs(bytes: Uint8Array): OutputsReading {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return badOutput('$KEELSON_OUTPUT holds binary data: it is not UTF-8 text');
  }
  const outputs = new Map<string, JsonValue>();
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (line.trim() === '') continue;
    const reading = parseLine(line);
    if ('problem' in reading) return badOutput(`$KEELSON_OUTPUT line ${index + 1}: ${reading.problem}`);
    outputs.set(reading.key, reading.value);
  }
  return { ok: true, outputs: Object.fromEntries(outputs) };
}

type LineReading = { readonly key: string; readonly value: JsonValue } | { readonly problem: string };

function parseLine(line: string): LineReading {
  if (line.includes('\0')) return { problem: 'binary data (a NUL character) instead of text' };
  const [, key, operator, text] = LINE.exec(line) ?? [];
  if (key === undefined || text === undefined) {
    return { problem: `expected key=value or key:=JSON, with a key of letters, digits and _, found ${excerpt(line)}` };
  }
  const keyProblem = outputKeyProblem(key);
  if (keyProblem !== undefined) return { problem: `the line ${keyProblem}` };
  let value: JsonValue = text;
  if (operator === ':=') {
    try {
      value = JSON.parse(text) as JsonValue;
    } catch {
      return { problem: `the value of "${excerptOf(key)}" after := is no JSON: ${excerpt(text)}` };
    }
  }
  const problem = outputProblem(value);
  return problem === undefined ? { key, value } : { problem: `the value of "${excerptOf(key)}" ${problem}` };
}

function excerpt(text: string): string {
  return JSON.stringify(excerptOf(text));
}

function excerptOf(text: string): string {
  return text.length <= EXCERPT_LENGTH ? text : `${text.slice(0, EXCERPT_LENGTH)}…`;
}

function badOutput(message: string): OutputsReading {
  return { ok: false, reason: { code: 'bad-output', message } };
}
