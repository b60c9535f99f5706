import type { JsonObject, JsonValue } from '@keelson/core';
import { isLarger, MAX_OUTPUT_BYTES, outputProblem } from '../storable-json.ts';

/** What of an answer's body is read; the rest is discarded. */
const MAX_BODY_BYTES = 1024 * 1024;

export interface AnswerBody {
  /** Undefined when the bytes are no text. */
  readonly text: string | undefined;
  /** Undefined unless the content type says JSON and the text is. */
  readonly json: JsonValue | undefined;
  readonly truncated: boolean;
}

/** Reads up to 1 MiB. Leaving the loop early ends the stream, and with it the transfer of the rest. */
export async function readBody(stream: AsyncIterable<Uint8Array>, contentType: string): Promise<AnswerBody> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_BODY_BYTES) break;
  }
  const truncated = size > MAX_BODY_BYTES;
  const text = decode(Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES), contentType, truncated);
  const isJson = /^application\/(?:[\w.+-]+\+)?json\b/i.test(contentType);
  return { text, json: isJson && text !== undefined && !truncated ? parseJson(text) : undefined, truncated };
}

function decode(bytes: Uint8Array, contentType: string, truncated: boolean): string | undefined {
  const charset = /charset="?([\w-]+)/i.exec(contentType)?.[1] ?? 'utf-8';
  try {
    // A stream's end is not checked: truncation may have cut a character in two.
    const text = new TextDecoder(charset, { fatal: true }).decode(bytes, { stream: truncated });
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

function parseJson(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
}

/** The outputs `body` and `json` as far as they fit, and a note for the log on each thing that was left out. */
export function bodyOutputs(body: AnswerBody): { readonly outputs: JsonObject; readonly notes: readonly string[] } {
  const outputs: JsonObject = {};
  const notes: string[] = [];
  if (body.truncated) notes.push(`the body is longer than ${MAX_BODY_BYTES / 1024} KiB; the rest was not read`);
  if (body.text === undefined) notes.push('the body is no text; it is not among the outputs');
  else {
    outputs['body'] = cut(body.text);
    if (outputs['body'] !== body.text)
      notes.push(`the output "body" holds the first ${MAX_OUTPUT_BYTES / 1024} KiB only`);
  }
  if (body.json !== undefined) {
    const problem = outputProblem(body.json);
    if (problem === undefined) outputs['json'] = body.json;
    else notes.push(`no output "json": the value ${problem}`);
  }
  return { outputs, notes };
}

/** The beginning of a text that fits into an output. */
function cut(text: string): string {
  if (!isLarger(text, MAX_OUTPUT_BYTES)) return text;
  const bytes = new Uint8Array(MAX_OUTPUT_BYTES);
  // encodeInto never writes half a character.
  return text.slice(0, new TextEncoder().encodeInto(text, bytes).read);
}
