import type { TaskKind } from '@keelson/store';
import type { MasterContext } from './context.ts';

/**
 * Which kinds of tasks wait in line, as far as this master knows. While some do, fresh tasks of their kind queue behind them instead
 * of being handed over directly, so that priority and order hold.
 */
export interface Line {
  isEmpty(kind: TaskKind): boolean;
  isAllEmpty(): boolean;
  /** Tasks of this kind were left in line. */
  grew(kind: TaskKind): void;
  /** A point in time, to be taken before a claim is sent. */
  now(): number;
  /** A claim that was sent at `asOf` found fewer tasks of this kind than it had slots for; what came later it has not seen. */
  drained(kind: TaskKind, asOf: number): void;
}

export function createLine(): Line {
  /** Kind → when it last grew. */
  const waiting = new Map<string, number>();
  let clock = 0;
  const key = ({ workerGroup, capability }: TaskKind): string => `${workerGroup}\n${capability}`;
  return {
    isEmpty: (kind) => waiting.size === 0 || !waiting.has(key(kind)),
    isAllEmpty: () => waiting.size === 0,
    grew: (kind) => void waiting.set(key(kind), ++clock),
    now: () => clock,
    drained: (kind, asOf) => {
      if ((waiting.get(key(kind)) ?? Infinity) <= asOf) waiting.delete(key(kind));
    },
  };
}

/** Tasks of this group, or of any, may be in line, and nobody said of which kind: those that a worker at this gateway could run. */
export function noteReady({ sessions, line }: Pick<MasterContext, 'sessions' | 'line'>, workerGroup?: string): void {
  for (const { incarnation } of sessions.all()) {
    if (workerGroup !== undefined && incarnation.group !== workerGroup) continue;
    for (const capability of incarnation.capabilities) line.grew({ workerGroup: incarnation.group, capability });
  }
}
