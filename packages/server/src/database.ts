import type { VerifyReport } from '@keelson/protocol';
import { migrate, openStore } from '@keelson/store';
import type { Finding, Repair, Store, TokenRole } from '@keelson/store';
import { verifyReportOf } from './verify-report.ts';

/** What an operator does straight on the database, when there is no server yet. */
async function withStore<T>(databaseUrl: string, use: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore({ url: databaseUrl, applicationName: 'keelson cli' });
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

/** @returns names of the migrations that were applied now */
export function migrateDatabase(databaseUrl: string): Promise<string[]> {
  return migrate(databaseUrl);
}

/** @returns the token; it is shown this once */
export function createToken({
  databaseUrl,
  role,
  name,
}: {
  databaseUrl: string;
  role: TokenRole;
  name: string;
}): Promise<string> {
  return withStore(databaseUrl, async (store) => (await store.tokens.create({ role, name })).token);
}

/** The invariants over the live database. */
export function checkDatabase(databaseUrl: string): Promise<readonly Finding[]> {
  return withStore(databaseUrl, (store) => store.doctor.check());
}

/**
 * Repairs what the doctor can repair safely, and looks again.
 *
 * @param by who asked, for the history of each instance
 */
export function repairDatabase(
  databaseUrl: string,
  by: string,
): Promise<{ repairs: readonly Repair[]; findings: readonly Finding[] }> {
  return withStore(databaseUrl, async (store) => {
    const repairs = await store.doctor.repair(by);
    if (repairs.length > 0) store.signals.send('command');
    return { repairs, findings: await store.doctor.check() };
  });
}

/** The stored history against the rows. */
export function verifyDatabase(
  databaseUrl: string,
  which: { readonly instance?: string | undefined; readonly since?: string | undefined },
): Promise<VerifyReport> {
  return withStore(databaseUrl, (store) => verifyReportOf(store.verifier, which));
}
