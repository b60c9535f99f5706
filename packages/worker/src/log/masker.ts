/** What stands in the log instead of a secret. */
export const MASK = '***';

/** Shorter values are not masked: they would turn half of every log into asterisks and hide nothing. */
export const MIN_SECRET_LENGTH = 4;
const MIN_LINE_LENGTH = 8;

/** Replaces secrets in a byte stream, also where one is cut by the border of two chunks. */
export interface Masker {
  /** Returns what can be told apart from a secret by now; the beginning of a possible one is held back. */
  write(chunk: Uint8Array): Uint8Array;
  /** Bytes are missing here: what may be the beginning of a secret is masked, and what follows may begin inside one. */
  cut(): Uint8Array;
  /** The stream is over: what was held back is the beginning of no longer secret. */
  end(): Uint8Array;
}

const NOTHING = new Uint8Array(0);
const MASK_BYTES = Buffer.from(MASK);

/**
 * The forms of each value in which it is looked for, longest first: as it is, as in a JSON string, as in a URL, and
 * line by line (a key in PEM is often printed with other line ends). Other encodings are not found.
 */
export function secretForms(secrets: readonly string[]): Buffer[] {
  const forms = new Set<string>();
  for (const secret of secrets) {
    const lines = secret
      .split(/\r?\n/)
      .filter((line, _, all) => all.length > 1 && line.trim().length >= MIN_LINE_LENGTH);
    const encoded = [JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret.toWellFormed())];
    for (const form of [secret, ...encoded, ...lines]) if (form.length >= MIN_SECRET_LENGTH) forms.add(form);
  }
  return [...forms].map((form) => Buffer.from(form)).toSorted((a, b) => b.length - a.length);
}

/** A masker for one stream. Without secrets it hands every chunk through. */
export function createMasker(secrets: readonly string[]): Masker {
  const forms = secretForms(secrets);
  if (forms.length === 0) return { write: (chunk) => chunk, cut: () => NOTHING, end: () => NOTHING };
  let held: Buffer = Buffer.alloc(0);
  let afterCut = false;

  function write(chunk: Uint8Array): Uint8Array {
    let text: Buffer =
      held.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([held, chunk]);
    const parts: Uint8Array[] = [];
    if (afterCut && text.length > 0) {
      const inside = longestEndOfSecretAt(text, forms);
      if (inside > 0) parts.push(MASK_BYTES);
      text = text.subarray(inside);
      afterCut = false;
    }
    const rest = maskWhole(text, forms, parts, true);
    const keep = longestBeginningAtEnd(rest, forms);
    parts.push(rest.subarray(0, rest.length - keep));
    // A copy: the chunk's memory is the caller's.
    held = Buffer.from(rest.subarray(rest.length - keep));
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }

  function take(): Buffer {
    const taken = held;
    held = Buffer.alloc(0);
    return taken;
  }

  return {
    write,
    cut() {
      afterCut = true;
      return take().length > 0 ? MASK_BYTES : NOTHING;
    },
    end() {
      const parts: Uint8Array[] = [];
      parts.push(maskWhole(take(), forms, parts, false));
      return Buffer.concat(parts);
    },
  };
}

/** Masks secrets in a text that is there as a whole. */
export function maskText(text: string, secrets: readonly string[]): string {
  if (secrets.length === 0) return text;
  const masker = createMasker(secrets);
  return Buffer.concat([masker.write(Buffer.from(text)), masker.end()]).toString();
}

/** Pushes everything up to the end of the last whole secret, masked, and returns what follows it. `goesOn`: more may come. */
function maskWhole(text: Buffer, forms: readonly Buffer[], parts: Uint8Array[], goesOn: boolean): Buffer {
  const next = forms.map((form) => text.indexOf(form));
  let at = 0;
  for (;;) {
    let best = -1;
    for (const [index, form] of forms.entries()) {
      let found = next[index] ?? -1;
      if (found !== -1 && found < at) next[index] = found = text.indexOf(form, at);
      if (found !== -1 && (best === -1 || found < (next[best] ?? -1))) best = index;
    }
    const form = forms[best];
    const found = next[best];
    if (form === undefined || found === undefined) return text.subarray(at);
    // A longer secret that the end of the text cuts may begin before this one, or at the same place.
    const longer = goesOn ? longestBeginningAtEnd(text.subarray(at), forms) : 0;
    if (longer > 0 && text.length - longer <= found) return text.subarray(at);
    parts.push(text.subarray(at, found), MASK_BYTES);
    at = found + form.length;
  }
}

/** How many bytes at the end of the text could be the beginning of a secret that goes on in the next chunk. */
function longestBeginningAtEnd(text: Buffer, forms: readonly Buffer[]): number {
  let longest = 0;
  for (const form of forms) {
    for (let length = Math.min(form.length - 1, text.length); length > longest; length -= 1) {
      if (text[text.length - length] === form[0] && text.compare(form, 0, length, text.length - length) === 0)
        longest = length;
    }
  }
  return longest;
}

/** How many bytes at the beginning of the text are the end of a secret whose beginning was left out. */
function longestEndOfSecretAt(text: Buffer, forms: readonly Buffer[]): number {
  let longest = 0;
  for (const form of forms) {
    for (let length = Math.min(form.length - 1, text.length); length > longest; length -= 1) {
      if (form.compare(text, 0, length, form.length - length) === 0) longest = length;
    }
  }
  return longest;
}
