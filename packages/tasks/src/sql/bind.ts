import { didYouMean } from '@keelson/core';
import type { JsonObject, JsonValue } from '@keelson/core';
import { scanSql, type Dialect, type SqlPiece } from './scan.ts';

/** A statement as a driver takes it: its own placeholders, and a value for each. */
export interface BoundStatement {
  readonly text: string;
  readonly values: readonly JsonValue[];
}

export type Binding =
  | { readonly ok: true; readonly statements: readonly BoundStatement[] }
  | { readonly ok: false; readonly message: string };

/**
 * Turns each `:name` into a placeholder of the driver: `$n` for PostgreSQL, where a name that comes twice is one
 * parameter, `?` for MySQL. Names without a value, values that no statement uses, and placeholders of the author's own
 * are refused, all before anything runs.
 */
export function bindStatements(sqls: readonly string[], dialect: Dialect, params: JsonObject): Binding {
  const scans = sqls.map((sql) => scanSql(sql, dialect));
  const problems = [
    ...scans.flatMap((pieces, index) => placeholderProblems(pieces, index, sqls.length, params)),
    ...unused(scans, params),
  ];
  if (problems.length > 0) return { ok: false, message: problems.join('; ') };
  const bind = dialect === 'postgresql' ? bindNumbered : bindInOrder;
  return { ok: true, statements: scans.map((pieces) => bind(pieces, params)) };
}

function placeholderProblems(pieces: readonly SqlPiece[], index: number, count: number, params: JsonObject): string[] {
  const where = count === 1 ? 'the statement' : `statement ${index + 1}`;
  const problems = new Set<string>();
  for (const piece of pieces) {
    if (piece.kind === 'positional')
      problems.add(`${where} holds the placeholder ${piece.text}; write :name and give its value in params`);
    if (piece.kind === 'name' && !Object.hasOwn(params, piece.name)) {
      const suggestion =
        didYouMean(piece.name, Object.keys(params)) ??
        `if it is no parameter, as in an array slice, put a space after the colon`;
      problems.add(`${where} uses ${piece.text}, which is not in params; ${suggestion}`);
    }
  }
  return [...problems];
}

function unused(scans: readonly (readonly SqlPiece[])[], params: JsonObject): string[] {
  const used = new Set(scans.flat().map((piece) => (piece.kind === 'name' ? piece.name : undefined)));
  return Object.keys(params)
    .filter((name) => !used.has(name))
    .map((name) => `params holds "${name}", but no statement uses :${name}`);
}

function bindNumbered(pieces: readonly SqlPiece[], params: JsonObject): BoundStatement {
  const numbers = new Map<string, number>();
  const values: JsonValue[] = [];
  const texts = pieces.map((piece, index) => {
    if (piece.kind !== 'name') return piece.text;
    const value = params[piece.name] ?? null;
    // The driver makes a PostgreSQL array of a list, and that is no JSON.
    const asJson = Array.isArray(value) && isJsonCast(pieces[index + 1]);
    const key = `${piece.name}${asJson ? '::json' : ''}`;
    const number = numbers.get(key) ?? values.push(asJson ? JSON.stringify(value) : value);
    numbers.set(key, number);
    return `$${number}`;
  });
  return { text: texts.join(''), values };
}

function isJsonCast(next: SqlPiece | undefined): boolean {
  return next?.kind === 'text' && /^\s*::\s*jsonb?(?![\w[])/i.test(next.text);
}

function bindInOrder(pieces: readonly SqlPiece[], params: JsonObject): BoundStatement {
  const values: JsonValue[] = [];
  const texts = pieces.map((piece) => {
    if (piece.kind !== 'name') return piece.text;
    const value = params[piece.name] ?? null;
    values.push(typeof value === 'object' && value !== null ? JSON.stringify(value) : value);
    return '?';
  });
  return { text: texts.join(''), values };
}
