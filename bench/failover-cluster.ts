import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openChaosCluster } from '../chaos/cluster/cluster.ts';
import type { ChaosCluster, ClusterPlan } from '../chaos/cluster/cluster.ts';
import type { Entry } from '../chaos/ledger/entry.ts';
import { ledgerReader } from '../chaos/ledger/reader.ts';
import { createClient } from '../chaos/load/client.ts';
import type { Client } from '../chaos/load/client.ts';
import type { Measured } from './result.ts';
import type { BenchOptions } from './run.ts';

/** A cluster of real processes with a client and the ledger that its tasks write. */
export interface FailoverCluster {
  readonly cluster: ChaosCluster;
  readonly client: Client;
  publish(definition: { readonly name: string; readonly tasks: object }): Promise<void>;
  /** @returns the id of the new instance */
  start(workflow: string): Promise<string>;
  ledger(): Promise<readonly Entry[]>;
}

type Plan = Partial<ClusterPlan> & Pick<ClusterPlan, 'masters' | 'slots'>;

/** Opens a cluster, uses it, and leaves nothing behind however that ends. */
export async function withFailoverCluster(
  options: BenchOptions,
  plan: Plan,
  use: (failover: FailoverCluster) => Promise<Pick<Measured, 'figures' | 'workload' | 'complaints'>>,
): Promise<Measured> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-bench-'));
  await chmod(folder, 0o755);
  const opening = openChaosCluster({
    apis: 0,
    shellWorkers: 0,
    processorWorkers: 0,
    namespaces: false,
    smallDisks: false,
    fakeClock: false,
    ...plan,
    folder,
  });
  const close = options.onInterrupt(async () => {
    await opening.then((cluster) => cluster.close()).catch(() => undefined);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  try {
    const cluster = await opening;
    const urls = cluster.servers.map(({ clients }) => `http://${clients.host}:${clients.port}`);
    const client = createClient(urls, cluster.adminToken);
    const measured = await use({
      cluster,
      client,
      publish: async (definition) => {
        await client.until('PUT', `projects/default/workflows/${definition.name}`, { body: definition });
      },
      start: async (workflow) => {
        const started = await client.until('POST', `projects/default/workflows/${workflow}/instances`, { body: {} });
        return (started as { id: string }).id;
      },
      ledger: ledgerReader(cluster.ledger),
    });
    return { ...measured, settings: await settingsOf(cluster) };
  } finally {
    await close();
  }
}

async function settingsOf({ postgres }: ChaosCluster): Promise<Record<string, string>> {
  const names = ['server_version', 'fsync', 'synchronous_commit'];
  const rows = await postgres.rows('select name, current_setting(name) as value from unnest($1::text[]) as s(name)', [
    names,
  ]);
  return Object.fromEntries(rows.map(({ name, value }) => [String(name), String(value)]));
}
