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
  /** A claim found fewer tasks of this kind than it had slots for. */
  drained(kind: TaskKind): void;
}

export function createLine(): Line {
  const waiting = new Set<string>();
  const key = ({ workerGroup, capability }: TaskKind): string => `${workerGroup}\n${capability}`;
  return {
    isEmpty: (kind) => waiting.size === 0 || !waiting.has(key(kind)),
    isAllEmpty: () => waiting.size === 0,
    grew: (kind) => void waiting.add(key(kind)),
    drained: (kind) => void waiting.delete(key(kind)),
  };
}

/** Tasks of this group came in line, and nobody said of which kind: any that a worker at this gateway could run. */
export function noteReady({ sessions, line }: Pick<MasterContext, 'sessions' | 'line'>, workerGroup: string): void {
  for (const { incarnation } of sessions.all()) {
    if (incarnation.group !== workerGroup) continue;
    for (const capability of incarnation.capabilities) line.grew({ workerGroup, capability });
  }
}
