import type { Admission } from './admission.ts';
import type { Alerts } from './alerts.ts';
import type { Backfills, BackfillViews } from './backfills.ts';
import type { BlobStore } from './blobs.ts';
import type { Datasources } from './datasources.ts';
import type { Definitions } from './definitions.ts';
import type { Doctor } from './doctor.ts';
import type { Engine } from './engine.ts';
import type { Instances } from './instances.ts';
import type { Fires } from './fires.ts';
import type { Logs } from './logs.ts';
import type { Nodes } from './nodes.ts';
import type { Operations } from './operations.ts';
import type { Projects } from './projects.ts';
import type { Retention } from './retention.ts';
import type { Calendars, Schedules } from './schedules.ts';
import type { Secrets } from './secrets.ts';
import type { Signals } from './signals.ts';
import type { Starts } from './starts.ts';
import type { Timers } from './timers.ts';
import type { Tokens } from './tokens.ts';
import type { UsedKeys } from './used-keys.ts';
import type { Verifier } from './verify.ts';
import type { Why } from './why.ts';
import type { Workers } from './workers.ts';

/** Everything that outlives a process, in verbs of the domain. */
export interface Store {
  // What moves: the masters live on these.
  readonly engine: Engine;
  readonly starts: Starts;
  readonly admission: Admission;
  readonly operations: Operations;
  readonly workers: Workers;
  readonly timers: Timers;
  readonly fires: Fires;
  readonly backfills: Backfills;
  readonly signals: Signals;
  // What is kept and asked for.
  readonly projects: Projects;
  readonly definitions: Definitions;
  readonly schedules: Schedules;
  readonly calendars: Calendars;
  readonly instances: Instances;
  readonly usedKeys: UsedKeys;
  readonly why: Why;
  readonly logs: Logs;
  readonly blobs: BlobStore;
  readonly secrets: Secrets;
  readonly datasources: Datasources;
  readonly tokens: Tokens;
  readonly nodes: Nodes;
  readonly alerts: Alerts;
  readonly backfillViews: BackfillViews;
  readonly retention: Retention;
  readonly doctor: Doctor;
  readonly verifier: Verifier;
  /** Whether the database answers, for a readiness probe. Throws what is wrong. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** The part of the store that a master and its gateway use. */
export interface MasterStore extends Pick<
  Store,
  | 'engine'
  | 'starts'
  | 'admission'
  | 'operations'
  | 'workers'
  | 'timers'
  | 'fires'
  | 'backfills'
  | 'signals'
  | 'blobs'
  | 'close'
> {
  readonly definitions: Pick<Definitions, 'versionById'>;
  readonly logs: Pick<Logs, 'append'>;
  readonly secrets: Pick<Secrets, 'reveal'>;
  readonly datasources: Pick<Datasources, 'reveal'>;
  readonly tokens: Pick<Tokens, 'verify'>;
}
