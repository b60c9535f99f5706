/** One page of a list; `next` is the cursor of the page behind it, null at the end. */
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

/** A cursor is opaque, and good only for the list and the filters it came from; a text that is none throws `invalid-cursor`. */
export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string | undefined;
}
