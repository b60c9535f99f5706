import { nameOf } from './evidence.ts';
import type { Run, Violation } from './evidence.ts';

/** A token is good for one start. */
export function startedTwice(runs: ReadonlyMap<string, readonly Run[]>): Violation[] {
  return [...runs.values()].flat().flatMap((run) => {
    if (run.starts.length === 1) return [];
    const lines = run.starts.map(({ place, worker, pid }) => `line ${place + 1} by ${worker} (process ${pid})`);
    const detail =
      run.starts.length === 0
        ? `${nameOf(run)} wrote without having started, line ${run.last.place + 1}`
        : `${nameOf(run)} was started ${run.starts.length} times: ${lines.join(', ')}`;
    return [{ rule: 'started-twice', detail }];
  });
}

/** No attempt of a task starts while an earlier one still runs; of a broadcast, none on the same worker. */
export function overlaps(runs: ReadonlyMap<string, readonly Run[]>, isBroadcast: (run: Run) => boolean): Violation[] {
  return [...runs.values()].flatMap((all) => {
    const lines = all.some(isBroadcast) ? [...Map.groupBy(all, ({ worker }) => worker).values()] : [all];
    return lines.flatMap(overlapsInLine);
  });
}

function overlapsInLine(runs: readonly Run[]): Violation[] {
  const found: Violation[] = [];
  const inOrder = runs.toSorted((a, b) => a.attempt - b.attempt);
  for (const [index, run] of inOrder.entries()) {
    for (const later of inOrder.slice(index + 1)) {
      const start = later.starts[0];
      if (start === undefined || run.last.place < start.place) continue;
      const ms = Math.round(run.last.wallMs - start.wallMs);
      found.push({
        rule: 'overlap',
        detail: `${nameOf(later)} started in line ${start.place + 1}, and ${nameOf(run)} still wrote line ${run.last.place + 1}, ${ms} ms later`,
      });
    }
  }
  return found;
}

/** A target system that refuses smaller tokens must never refuse the newest attempt. */
export function fencingTokens(
  runs: ReadonlyMap<string, readonly Run[]>,
  isBroadcast: (run: Run) => boolean,
): Violation[] {
  return [...runs.values()].flatMap((all) => {
    const known = all.filter((run) => run.token !== '-' && !isBroadcast(run)).toSorted((a, b) => a.attempt - b.attempt);
    return known.flatMap((run, index) => {
      const before = known[index - 1];
      if (before === undefined || BigInt(before.token) < BigInt(run.token)) return [];
      const detail = `${nameOf(run)} has the fencing token ${run.token}, not above ${before.token} of the attempt before`;
      return [{ rule: 'fencing-token', detail }];
    });
  });
}
