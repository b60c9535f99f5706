import type { Page } from '@keelson/protocol';

/** A page of the store as an answer, each item in the outside's form. */
export function restPage<Stored, Rest>(
  page: Page<Stored>,
  rest: (item: Stored) => Rest,
): { items: Rest[]; next: string | null } {
  return { items: page.items.map(rest), next: page.next };
}
