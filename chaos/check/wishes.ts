import type { Evidence, Violation } from './evidence.ts';

/** What the client was promised, against what there is. */
export function wishes({ wishes, instances }: Evidence): Violation[] {
  const known = new Set(instances.map(({ id }) => id));
  const byMark = Map.groupBy(instances, ({ mark }) => mark);
  return wishes.flatMap((wish) => {
    const found: Violation[] = [];
    const made = byMark.get(wish.mark) ?? [];
    const ids = made.map(({ id }) => id).join(', ');
    const how = wish.key === undefined ? 'without a key' : 'with a key';
    for (const id of wish.acknowledged) {
      if (!known.has(id))
        found.push({ rule: 'lost', detail: `${wish.mark} (${how}) was acknowledged as ${id}, which is not there` });
    }
    if (wish.acknowledged.size > 1) {
      found.push({
        rule: 'doubled-key',
        detail: `${wish.mark} was answered with ${[...wish.acknowledged].join(' and ')}`,
      });
    }
    if (made.length > 1) {
      const rule = wish.key === undefined ? 'doubled-start' : 'doubled-key';
      found.push({
        rule,
        detail: `${wish.mark} (${how}, ${wish.requests} requests) has ${made.length} instances: ${ids}`,
      });
    }
    return found;
  });
}
