import { openCluster } from './cluster.ts';
import type { Cluster, ClusterOptions } from './cluster.ts';
import { costBetween, readCounters } from './counters.ts';
import type { Cost, Counters } from './counters.ts';
import { readSettings } from './result.ts';
import type { Measured } from './result.ts';

export interface BenchOptions {
  readonly log: (line: string) => void;
  readonly profileInto?: string | undefined;
  /** Registers what an interrupt has to end; answers the function that ends it and forgets it. */
  readonly onInterrupt: (end: () => Promise<void>) => () => Promise<void>;
  /** Sizes given on the command line. */
  readonly tasks?: number | undefined;
  readonly repetitions?: number | undefined;
  readonly slots?: number | undefined;
}

export type Bench = (options: BenchOptions) => Promise<Measured>;

/** What one use of a cluster measured. */
export interface Findings {
  readonly figures: Measured['figures'];
  readonly workload: Measured['workload'];
  readonly costs?: Readonly<Record<string, Cost>>;
  /** A phase that lasts to the end of the bench: it is counted when the processes have ended and told everything. */
  readonly counted?: { readonly name: string; readonly before: Counters; readonly tasks: number };
}

/** Opens a cluster, uses it, and closes it however that ends. */
export async function withCluster(
  options: BenchOptions & Pick<ClusterOptions, 'workers' | 'slots' | 'servers'>,
  use: (cluster: Cluster) => Promise<Findings>,
): Promise<Measured> {
  const opening = openCluster(options);
  // Also an interrupt that comes while it opens has to leave nothing behind.
  const close = options.onInterrupt(() => opening.then((cluster) => cluster.close()));
  const cluster = await opening;
  try {
    const { figures, workload, costs, counted } = await use(cluster);
    await cluster.stopProcesses();
    const { database } = cluster;
    const cost = counted && costBetween(counted.before, await readCounters(database), counted.tasks);
    return {
      figures,
      workload,
      costs: { ...costs, ...(counted && cost && { [counted.name]: cost }) },
      settings: await readSettings(database),
      complaints: await cluster.complaints(),
    };
  } catch (error) {
    const complaints = await cluster.complaints().catch(() => []);
    if (complaints.length > 0) options.log(complaints.slice(-10).join('\n'));
    throw error;
  } finally {
    await close();
  }
}
