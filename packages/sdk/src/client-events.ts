/** One event of a server-sent event stream. */
export interface ServerSentEvent {
  /** `message` when the stream names none. */
  readonly event: string;
  readonly data: string;
  /** The last id that the stream gave; empty before the first. */
  readonly id: string;
}

/** Longer than any event that the server sends; a stream beyond it is broken or hostile. */
const MAX_EVENT_LENGTH = 16 * 1024 * 1024;

/**
 * Reads a body as server-sent events (WHATWG rules: any of the three line ends, comments skipped, an event without data
 * skipped, an unfinished event at the end dropped). Leaving the loop early cancels the body.
 */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerSentEvent, void, undefined> {
  let pending = '';
  let event = '';
  let id = '';
  let data: string[] = [];
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    pending += chunk;
    if (pending.length > MAX_EVENT_LENGTH) throw new Error('an event of the stream is longer than 16 MiB');
    const { lines, rest } = splitLines(pending);
    pending = rest;
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { event: event === '' ? 'message' : event, data: data.join('\n'), id };
        event = '';
        data = [];
        continue;
      }
      const { field, value } = parseField(line);
      if (field === 'data') data.push(value);
      else if (field === 'event') event = value;
      else if (field === 'id' && !value.includes('\0')) id = value;
    }
  }
}

/** A `\r` at the very end may be the first half of `\r\n`, so it waits for the next chunk. */
function splitLines(text: string): { lines: string[]; rest: string } {
  const lines: string[] = [];
  let start = 0;
  for (const match of text.matchAll(/\r\n|\n|\r(?!$)/g)) {
    lines.push(text.slice(start, match.index));
    start = match.index + match[0].length;
  }
  return { lines, rest: text.slice(start) };
}

/** A comment (`: ping`) comes out as a field without a name, which nobody reads. */
function parseField(line: string): { field: string; value: string } {
  const colon = line.indexOf(':');
  if (colon === -1) return { field: line, value: '' };
  const value = line.slice(colon + 1);
  return { field: line.slice(0, colon), value: value.startsWith(' ') ? value.slice(1) : value };
}
