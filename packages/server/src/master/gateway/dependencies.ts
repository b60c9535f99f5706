import type { StartedAttempt } from '@keelson/store';
import type { Batcher } from '@keelson/store';
import type { MasterContext } from '../context.ts';
import type { Renewals } from '../renewals.ts';
import type { Reports } from '../reports.ts';

export interface GatewayDependencies {
  readonly context: MasterContext;
  readonly reports: Reports;
  readonly started: Batcher<StartedAttempt>;
  readonly renewals: Renewals;
}
