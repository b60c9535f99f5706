import type { JsonValue } from '@keelson/core';

const MAX_CELL = 40;
const MAX_COLUMNS = 30;

/** Rows as a compact table for a log: long values are cut, line breaks and other control characters shown as blanks. */
export function textTable(columns: readonly string[], rows: readonly (readonly JsonValue[])[]): string {
  const shown = columns.slice(0, MAX_COLUMNS);
  const header = shown.map(cell);
  const body = rows.map((row) => shown.map((_, index) => cell(row[index] ?? null)));
  const widths = header.map((name, index) =>
    Math.max(...[header, ...body].map((line) => line[index]?.length ?? 0), name.length),
  );
  const alignRight = shown.map(
    (_, index) => rows.length > 0 && rows.every((row) => isNumberOrNull(row[index] ?? null)),
  );
  const line = (cells: readonly string[]) =>
    ` ${cells.map((text, index) => (alignRight[index] ? text.padStart(widths[index] ?? 0) : text.padEnd(widths[index] ?? 0))).join(' │ ')}`.trimEnd();
  const rule = widths.map((width) => '─'.repeat(width + 2)).join('┼');
  const rest = columns.length > MAX_COLUMNS ? [` … and ${columns.length - MAX_COLUMNS} more columns`] : [];
  return [line(header), rule, ...body.map(line), ...rest].map((text) => `${text}\n`).join('');
}

function isNumberOrNull(value: JsonValue): boolean {
  return value === null || typeof value === 'number';
}

function cell(value: JsonValue): string {
  const text = typeof value === 'string' ? value : value === null ? 'null' : JSON.stringify(value);
  const line = text
    .slice(0, MAX_CELL + 1)
    .toWellFormed()
    .replaceAll(/\p{Cc}/gu, ' ');
  return line.length > MAX_CELL ? `${line.slice(0, MAX_CELL - 1)}…` : line;
}
