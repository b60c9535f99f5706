import type { Datasources } from '@keelson/store';
import { ensureGuestDatabase } from '@keelson/store/embedded';

const PROJECT = 'default';
const NAME = 'warehouse';
const BY = 'keelson dev';

/**
 * First steps with `sql` need a database: `dev` gives the project `default` a datasource `warehouse` on its own PostgreSQL, with a role that
 * cannot reach the engine's database. One that somebody set by hand stays as it is.
 */
export async function offerWarehouse(databaseUrl: string, datasources: Datasources): Promise<void> {
  const present = await datasources.get(PROJECT, NAME);
  if (present !== undefined && present.updatedBy !== BY) return;
  const { password, ...place } = await ensureGuestDatabase(databaseUrl, NAME);
  await datasources.set(PROJECT, NAME, { config: { kind: 'postgresql', ...place }, password }, BY);
}
