import { ExpressionError } from './expression-error.ts';

/** A piece of a string: literal text, or the inside of one `${{ }}`. */
export type TemplatePart =
  | { readonly kind: 'text'; readonly text: string }
  /** `offset` is where the expression starts in the whole string. */
  | { readonly kind: 'expression'; readonly text: string; readonly offset: number };

const OPEN = '${{';

export function hasExpression(text: string): boolean {
  return text.includes(OPEN);
}

/** Splits a string at its `${{ }}`. Throws an ExpressionError (`unclosed-expression`, `empty-expression`) whose position is in the whole string. */
export function parseTemplate(text: string): TemplatePart[] {
  const parts: TemplatePart[] = [];
  let from = 0;
  for (let open = text.indexOf(OPEN); open !== -1; open = text.indexOf(OPEN, from)) {
    if (open > from) parts.push({ kind: 'text', text: text.slice(from, open) });
    const start = open + OPEN.length;
    const end = findEnd(text, start);
    if (end === -1)
      throw new ExpressionError('unclosed-expression', 'the "${{" has no "}}" that closes it', text, open);
    parts.push(expressionPart(text, start, end));
    from = end + 2;
  }
  if (from < text.length) parts.push({ kind: 'text', text: text.slice(from) });
  return parts;
}

function expressionPart(text: string, start: number, end: number): TemplatePart {
  const inside = text.slice(start, end);
  const trimmed = inside.trim();
  if (trimmed === '')
    throw new ExpressionError('empty-expression', 'there is nothing between "${{" and "}}"', text, start - OPEN.length);
  return { kind: 'expression', text: trimmed, offset: start + inside.indexOf(trimmed) };
}

/** The `}}` that closes, not one inside a string or a map literal of the expression; -1 when there is none. */
function findEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const letter = text[at];
    if (letter === '"' || letter === "'") {
      at = skipString(text, at);
      if (at === -1) return -1;
    } else if (letter === '{') depth++;
    else if (letter === '}') {
      if (depth === 0 && text[at + 1] === '}') return at;
      if (depth > 0) depth--;
    }
  }
  return -1;
}

/** The position of the quote that ends the string which starts at `at`, or -1. */
function skipString(text: string, at: number): number {
  const quote = text[at] ?? '';
  const triple = quote.repeat(3);
  const delimiter = text.startsWith(triple, at) ? triple : quote;
  for (let end = at + delimiter.length; end < text.length; end++) {
    if (text[end] === '\\') end++;
    else if (text.startsWith(delimiter, end)) return end + delimiter.length - 1;
  }
  return -1;
}
