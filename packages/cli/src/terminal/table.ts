import Table from 'cli-table3';
import truncate from 'cli-truncate';
import type { Terminal } from './terminal.ts';
import { painter } from './terminal.ts';

const NO_BORDER = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
} as const;

/** Columns under a bold head, without borders; on a terminal no line is longer than it is wide. Cells may be painted. */
export function tableLines(
  terminal: Terminal,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const paint = painter(terminal.stdout, terminal.env);
  const table = new Table({ chars: NO_BORDER, style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 } });
  table.push(
    head.map((title) => paint('bold', title)),
    ...rows.map((row) => [...row]),
  );
  const lines = table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
  const { isTTY, columns = 0 } = terminal.stdout;
  // A terminal that does not know its width says 0.
  return isTTY === true ? lines.map((line) => truncate(line, columns === 0 ? 80 : columns)) : lines;
}
