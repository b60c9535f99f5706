import type { Page, PageRequest } from '../../page.ts';
import { StoreError } from '../../store-error.ts';

/** The sort key of the last row of a page, as texts. */
export type CursorKey = readonly string[];

/** @throws {StoreError} `invalid-cursor` unless the text holds exactly `length` parts that `fits` accepts */
export function parseCursor(
  text: string | undefined,
  length: number,
  fits: (part: string) => boolean = () => true,
): CursorKey | undefined {
  if (text === undefined) return undefined;
  const parts = decode(text);
  if (parts === undefined || parts.length !== length || !parts.every(fits)) {
    throw new StoreError('invalid', 'invalid-cursor', 'the cursor is not one that this list gave out');
  }
  return parts;
}

function decode(text: string): string[] | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    return Array.isArray(value) && value.every((part) => typeof part === 'string') ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param rows up to `limit + 1` of them: the one too many says that there is more
 */
export function pageFrom<Row, Item>(
  rows: readonly Row[],
  { limit }: PageRequest,
  item: (row: Row) => Item,
  key: (row: Row) => CursorKey,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  const next = last === undefined ? null : Buffer.from(JSON.stringify(key(last))).toString('base64url');
  return { items: shown.map(item), next };
}
