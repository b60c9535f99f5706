import { openBlobStore } from '../blobs/open.ts';
import type { SecretKey } from '../secret-key.ts';
import type { Store } from '../store.ts';
import { createAdmission } from './engine/admission.ts';
import { createAlerts } from './alerts.ts';
import { createCalendars } from './schedules/calendars.ts';
import { openPool } from './connection/connection.ts';
import { createBackfillViews } from './backfills/backfill-views.ts';
import { createBackfills } from './backfills/backfills.ts';
import { createDatasources } from './definitions/datasources.ts';
import { definitionCache } from './definitions/definition-cache.ts';
import { createDefinitions } from './definitions/definitions.ts';
import { createDoctor } from './invariants/doctor.ts';
import { createEngine } from './engine/engine.ts';
import { createFires } from './schedules/fires.ts';
import { createInstances } from './instances/instances.ts';
import { createUsedKeys } from './instances/used-keys.ts';
import { createLogs } from './logs.ts';
import { checkSchema } from './schema/schema-check.ts';
import { createNodes } from './workers/nodes.ts';
import { createOperations } from './engine/operations.ts';
import { ensurePartition, instanceIds } from './schema/partitions.ts';
import { createProjects } from './definitions/projects.ts';
import { createRetention } from './retention/retention.ts';
import { createSchedules } from './schedules/schedules.ts';
import { createSecrets } from './definitions/secrets.ts';
import { openSession, poolRunner } from './connection/session.ts';
import type { OpenSession } from './connection/session.ts';
import { createSignals } from './connection/signals.ts';
import { createStarts } from './engine/starts.ts';
import { createTimers } from './engine/timers.ts';
import { createTokens } from './tokens.ts';
import { createVerifier } from './verify/verify.ts';
import { createWhy } from './instances/why.ts';
import { createWorkers } from './workers/workers.ts';

export interface StoreSettings {
  readonly url: string;
  readonly applicationName: string;
  /** `file:///folder` or `s3://bucket/prefix`; absent: blobs and logs lie in PostgreSQL. */
  readonly blobs?: string | undefined;
  /** Absent: secrets can be neither set nor read. */
  readonly secretKey?: SecretKey | undefined;
  /** Connections for requests of people and programs; the engine, the logs and the blobs have their own. */
  readonly poolSize?: number | undefined;
  /** Decision transactions at once. */
  readonly lanes?: number | undefined;
  /** Told what goes wrong in the background and is tried again. */
  readonly log?: ((message: string, error: unknown) => void) | undefined;
}

const POOL_SIZE = 8;
/** Uploads are slow clients' business and must not use up the connections of the others. */
const BLOB_CONNECTIONS = 3;
/** Ids that the fires take at once: they come in crowds. */
const FIRE_IDS = 200;

/**
 * Opens the store on a database with the schema of this release, or a newer one that says it is compatible. Connections are opened as they are needed.
 *
 * @throws {SchemaError} when the schema is missing, too old, or newer and not compatible with this release
 * @throws {StoreError} `invalid-blob-url`
 */
export async function openStore(settings: StoreSettings): Promise<Store> {
  const { url, applicationName, secretKey, log = () => undefined } = settings;
  await checkSchema(url);
  const connection = { url, applicationName };
  const pool = openPool(connection, settings.poolSize ?? POOL_SIZE);
  const blobPool = openPool(connection, BLOB_CONNECTIONS);
  const { blobs, objects } = await openBlobStore(settings.blobs, blobPool);
  const definitions = definitionCache();
  const open: OpenSession = (bounds) => openSession(connection, bounds);
  const runner = poolRunner(pool);
  const engine = createEngine(open, settings.lanes);
  const workers = createWorkers(open);
  const timers = createTimers(open);
  const nextId = instanceIds(runner, (index) => ensurePartition(pool, index));
  const backfills = createBackfills(open, nextId);
  const admission = createAdmission(open);
  const fireIds = instanceIds(runner, (index) => ensurePartition(pool, index), FIRE_IDS);
  const fires = createFires(open, fireIds, () => performance.now());
  const signals = createSignals(connection, log);
  const logs = createLogs(connection, objects);
  const retention = createRetention(connection, pool, objects);
  return {
    engine,
    starts: createStarts(runner, nextId),
    operations: createOperations(runner),
    workers,
    timers,
    fires,
    backfills,
    admission,
    signals,
    projects: createProjects(pool),
    definitions: createDefinitions(pool, blobs, definitions),
    schedules: createSchedules(pool),
    calendars: createCalendars(pool),
    instances: createInstances(pool, definitions),
    usedKeys: createUsedKeys(pool),
    why: createWhy(pool, definitions),
    logs,
    blobs,
    secrets: createSecrets(pool, secretKey),
    datasources: createDatasources(pool, secretKey),
    tokens: createTokens(pool),
    nodes: createNodes(pool),
    alerts: createAlerts(pool),
    backfillViews: createBackfillViews(pool),
    retention,
    doctor: createDoctor(pool, open),
    verifier: createVerifier(pool),
    ping: async () => void (await pool.query('select 1')),
    close: async () => {
      await Promise.all([
        engine.close(),
        workers.close(),
        timers.close(),
        fires.close(),
        backfills.close(),
        admission.close(),
        signals.close(),
        logs.close(),
        retention.close(),
      ]);
      await Promise.all([pool.end(), blobPool.end(), objects?.close()]);
    },
  };
}
