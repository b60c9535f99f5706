/** PostgreSQL's row locks, weakest first. A delete takes `update`; an update that leaves the keys alone `no key update`. */
export type LockMode = 'key share' | 'share' | 'no key update' | 'update';

const ORDER: readonly LockMode[] = ['key share', 'share', 'no key update', 'update'];

/** The table "Conflicting Row-Level Locks" of PostgreSQL's manual, chapter 13.3.2. */
const CONFLICTS: Readonly<Record<LockMode, ReadonlySet<LockMode>>> = {
  'key share': new Set(['update']),
  share: new Set(['no key update', 'update']),
  'no key update': new Set(['share', 'no key update', 'update']),
  update: new Set(ORDER),
};

/** Whether one transaction has to wait for another one's lock on the same row. */
export function conflict(wanted: LockMode, held: LockMode): boolean {
  return CONFLICTS[wanted].has(held);
}

/** What a transaction holds after it took both. */
export function stronger(one: LockMode | undefined, other: LockMode): LockMode {
  return one !== undefined && ORDER.indexOf(one) > ORDER.indexOf(other) ? one : other;
}
