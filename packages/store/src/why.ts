import type { WaitFacts } from '@keelson/core';

export interface Why {
  /** What the unfinished tasks of an instance wait for, from one snapshot; `explain` of the core puts it into words. */
  facts(instanceId: string): Promise<WaitFacts | undefined>;
}
