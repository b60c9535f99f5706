/** Splits SQL into what a database reads as code and the `:name` and positional placeholders in it. */
import type { Datasource } from './datasource.ts';

export type Dialect = Datasource['kind'];
export type SqlPiece =
  /** Code, quotes and comments: stays as it is. */
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'name'; readonly name: string; readonly text: string }
  /** A placeholder of the driver's own: `$1` or `?`. */
  | { readonly kind: 'positional'; readonly text: string };

const WORD_START = 'A-Za-z_\\u0080-\\uffff';
const WORD = `[${WORD_START}][${WORD_START}0-9$]*`;
const NAME = ':(?<name>[A-Za-z_][A-Za-z0-9_]*)';

/** A quote that doubles itself, and one in which a backslash hides the next character. Unclosed: to the end. */
const doubled = (quote: string) => `${quote}[^${quote}]*(?:${quote}${quote}[^${quote}]*)*(?:${quote}|$)`;
const escaped = (quote: string) =>
  `${quote}[^${quote}\\\\]*(?:(?:${quote}${quote}|\\\\[^])[^${quote}\\\\]*)*(?:${quote}|\\\\?$)`;

const TOKENS: Readonly<Record<Dialect, RegExp>> = {
  postgresql: new RegExp(
    [
      '--[^\\n]*',
      '(?<comment>/\\*)',
      `[eE]${escaped("'")}`,
      doubled("'"),
      doubled('"'),
      // A word takes its $ with it: what follows is no dollar quote.
      WORD,
      `(?<dollar>\\$(?:[${WORD_START}][${WORD_START}0-9]*)?\\$)`,
      '(?<positional>\\$\\d+)',
      '::',
      NAME,
      '[^]',
    ].join('|'),
    'y',
  ),
  mysql: new RegExp(
    [
      // Without a blank after it, -- is twice a minus.
      '--(?=\\s|$)[^\\n]*',
      '#[^\\n]*',
      '/\\*[^]*?(?:\\*/|$)',
      escaped("'"),
      escaped('"'),
      doubled('`'),
      WORD,
      '(?<positional>\\?)',
      '::',
      NAME,
      '[^]',
    ].join('|'),
    'y',
  ),
};

/** The pieces, in order; their texts put together are the SQL again. Never throws: what is no SQL the database refuses. */
export function scanSql(sql: string, dialect: Dialect): SqlPiece[] {
  const pieces: SqlPiece[] = [];
  const token = TOKENS[dialect];
  let textFrom = 0;
  for (let at = 0; at < sql.length;) {
    token.lastIndex = at;
    const match = token.exec(sql);
    const groups = match?.groups ?? {};
    const found = match?.[0] ?? sql.slice(at, at + 1);
    let end = at + found.length;
    if (groups['comment'] !== undefined) end = endOfNestedComment(sql, at);
    if (groups['dollar'] !== undefined) end = endOf(sql, found, end);
    const piece = placeholder(groups, found);
    if (piece !== undefined) {
      if (at > textFrom) pieces.push({ kind: 'text', text: sql.slice(textFrom, at) });
      pieces.push(piece);
      textFrom = end;
    }
    at = end;
  }
  if (textFrom < sql.length) pieces.push({ kind: 'text', text: sql.slice(textFrom) });
  return pieces;
}

function placeholder(groups: Readonly<Record<string, string | undefined>>, text: string): SqlPiece | undefined {
  if (groups['name'] !== undefined) return { kind: 'name', name: groups['name'], text };
  return groups['positional'] === undefined ? undefined : { kind: 'positional', text };
}

function endOf(sql: string, closing: string, from: number): number {
  const found = sql.indexOf(closing, from);
  return found === -1 ? sql.length : found + closing.length;
}

/** Comments of PostgreSQL nest. */
function endOfNestedComment(sql: string, from: number): number {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = from;
  let depth = 0;
  for (let match = mark.exec(sql); match !== null; match = mark.exec(sql)) {
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return sql.length;
}
