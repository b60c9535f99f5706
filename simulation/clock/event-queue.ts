/** Something that happens at a simulated moment. */
export interface Happening {
  readonly at: number;
  /** Drawn from the seed: decides between those of the same moment. */
  readonly tie: number;
  run: (() => void) | undefined;
}

/** A binary heap, earliest first. What is cancelled stays in it, empty, until its time comes. */
export interface EventQueue {
  add(happening: Happening): void;
  next(): Happening | undefined;
}

export function openEventQueue(): EventQueue {
  const heap: Happening[] = [];
  const before = (one: Happening, other: Happening): boolean =>
    one.at < other.at || (one.at === other.at && one.tie < other.tie);

  const rise = (item: Happening): void => {
    let index = heap.length;
    heap.push(item);
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above] as Happening;
      if (!before(item, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = item;
  };

  const sink = (item: Happening): void => {
    let index = 0;
    for (;;) {
      let below = index * 2 + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && before(heap[below + 1] as Happening, heap[below] as Happening)) below++;
      const child = heap[below] as Happening;
      if (!before(child, item)) break;
      heap[index] = child;
      index = below;
    }
    heap[index] = item;
  };

  return {
    add: rise,
    next: () => {
      const first = heap[0];
      const last = heap.pop();
      if (last !== undefined && heap.length > 0) sink(last);
      return first;
    },
  };
}
