import { killByKey, runningGroups, signalGroup } from './process-tree.ts';

/**
 * Looks that read something of every process of the machine (some 40 µs each), made once for all who ask at about the same time. When an
 * instance with many tasks is stopped each of them asks: alone, 200 tasks kept a machine busy for 3 s.
 */
export interface EscapeeHunt {
  /** Kills whatever carries the attempt's key, wherever it went; then calls back. */
  kill(key: string, done: () => void): void;
  /** Calls back when nothing of the group runs any more, or at `until` (of `performance.now()`). */
  awaitGroup(pgid: number, until: number, done: () => void): void;
}

/** A single task hardly notices it. */
const GATHER_MS = 5;
/** A look blocks the launcher: it has this many times as long for everything else. */
const REST_FACTOR = 2;
const GROUP_POLL_MS = 20;

export function createEscapeeHunt(): EscapeeHunt {
  const prey = gathered<string>(GATHER_MS, (wanted) => {
    killByKey((key) => wanted.has(key));
    return wanted.keys();
  });
  const groups = gathered<number>(GROUP_POLL_MS, (watched) => {
    const now = performance.now();
    // The cheap question first; only zombies make the dear one necessary.
    const answering = new Set([...watched.keys()].filter((pgid) => signalGroup(pgid, 0)));
    const running = answering.size === 0 ? answering : runningGroups();
    const runs = (pgid: number): boolean => answering.has(pgid) && running.has(pgid);
    return [...watched].flatMap(([pgid, { until }]) => (runs(pgid) && now < until ? [] : [pgid]));
  });
  return {
    kill: (key, done) => prey(key, Number.POSITIVE_INFINITY, done),
    awaitGroup: (pgid, until, done) =>
      performance.now() < until && signalGroup(pgid, 0) ? groups(pgid, until, done) : done(),
  };
}

interface Wish {
  until: number;
  readonly done: (() => void)[];
}

/** Calls `look` for all that is wished for, until it says that it is settled. */
function gathered<Key>(
  everyMs: number,
  look: (wishes: ReadonlyMap<Key, Wish>) => Iterable<Key>,
): (key: Key, until: number, done: () => void) => void {
  const wishes = new Map<Key, Wish>();
  let timer: NodeJS.Timeout | undefined;

  const round = (): void => {
    timer = undefined;
    const began = performance.now();
    const settled = [...look(wishes)].flatMap((key) => {
      const wish = wishes.get(key);
      wishes.delete(key);
      return wish?.done ?? [];
    });
    // Whoever is called back may wish again.
    for (const done of settled) done();
    if (wishes.size > 0 || settled.length > 0) rest(Math.max(everyMs, (performance.now() - began) * REST_FACTOR));
  };
  let restUntil = 0;
  const rest = (ms: number): void => {
    restUntil = performance.now() + ms;
    clearTimeout(timer);
    timer = wishes.size > 0 ? setTimeout(round, ms) : undefined;
  };

  return (key, until, done) => {
    const wish = wishes.get(key);
    if (wish === undefined) wishes.set(key, { until, done: [done] });
    else {
      wish.until = Math.min(wish.until, until);
      wish.done.push(done);
    }
    timer ??= setTimeout(round, Math.max(everyMs, restUntil - performance.now()));
  };
}
