/** Turns what programs print to a terminal, colours included, into an SVG picture of that terminal. */

const FONT = 13;
const CELL = { width: 7.83, height: 18 };
const PADDING = 18;
const BAR = 30;
const COLOURS: Readonly<Record<string, string>> = {
  '31': '#ff7b72',
  '32': '#7ee787',
  '33': '#e3b341',
  '34': '#79c0ff',
  '35': '#d2a8ff',
  '36': '#76e3ea',
  '90': '#8b949e',
};

interface Style {
  readonly colour?: string;
  readonly bold?: boolean;
  readonly dim?: boolean;
}

interface Piece {
  readonly text: string;
  readonly style: Style;
}

/** `lines` may hold SGR escape sequences; longer ones than `columns` are broken. */
export function terminalSvg(lines: readonly string[], columns: number): string {
  const rows = lines.flatMap((line) => wrap(pieces(line), columns));
  const width = Math.ceil(columns * CELL.width + 2 * PADDING);
  const height = BAR + rows.length * CELL.height + 2 * PADDING;
  const body = rows.map((row, index) => rowSvg(row, BAR + PADDING + (index + 0.75) * CELL.height)).join('\n');
  const lights = ['#ff5f57', '#febc2e', '#28c840'].map(
    (fill, index) => `<circle cx="${20 + 20 * index}" cy="18" r="6" fill="${fill}"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<rect width="${width}" height="${height}" rx="10" fill="#0d1117"/>
${lights.join('')}
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT}" fill="#e6edf3" xml:space="preserve">
${body}
</g>
</svg>
`;
}

/** Cuts a line at its escape sequences. */
function pieces(line: string): Piece[] {
  const found: Piece[] = [];
  let style: Style = {};
  // oxlint-disable-next-line no-control-regex
  for (const [index, part] of line.split(/\u001b\[([\d;]*)m/).entries()) {
    if (index % 2 === 1) style = part.split(';').reduce(restyle, style);
    else if (part !== '') found.push({ text: part, style });
  }
  return found;
}

function restyle(style: Style, code: string): Style {
  const { colour: _colour, ...uncoloured } = style;
  const { bold: _bold, dim: _dim, ...thin } = style;
  if (code === '0' || code === '') return {};
  if (code === '1') return { ...style, bold: true };
  if (code === '2') return { ...style, dim: true };
  if (code === '22') return thin;
  if (code === '39') return uncoloured;
  const colour = COLOURS[code];
  return colour === undefined ? style : { ...style, colour };
}

/** Breaks at a space where there is one. */
function wrap(line: readonly Piece[], columns: number): Piece[][] {
  let cells = line.flatMap(({ text, style }) => Array.from(text, (character): Piece => ({ text: character, style })));
  const rows: Piece[][] = [];
  while (cells.length > columns) {
    const space = cells.slice(0, columns + 1).findLastIndex(({ text }) => text === ' ');
    const end = space > 0 ? space : columns;
    rows.push(joined(cells.slice(0, end)));
    cells = cells.slice(space > 0 ? end + 1 : end);
  }
  return [...rows, joined(cells)];
}

/** Neighbours of one style as one piece. */
function joined(cells: readonly Piece[]): Piece[] {
  const row: Piece[] = [];
  for (const { text, style } of cells) {
    const last = row.at(-1);
    if (last?.style === style) row[row.length - 1] = { text: last.text + text, style };
    else row.push({ text, style });
  }
  return row;
}

/** Every piece has its own place, so that a font with other widths cannot shift what follows. */
function rowSvg(row: readonly Piece[], y: number): string {
  let column = 0;
  return row
    .map(({ text, style }) => {
      const x = (PADDING + column * CELL.width).toFixed(1);
      column += Array.from(text).length;
      const look = `${style.colour === undefined ? '' : ` fill="${style.colour}"`}${style.bold === true ? ' font-weight="bold"' : ''}${style.dim === true ? ' opacity="0.6"' : ''}`;
      return `<text x="${x}" y="${y.toFixed(1)}"${look}>${escaped(text)}</text>`;
    })
    .join('');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
