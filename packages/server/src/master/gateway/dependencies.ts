import type { MasterContext } from '../context.ts';
import type { Renewals } from '../renewals.ts';
import type { Reports } from '../reports.ts';
import type { Starts } from '../starts.ts';
import type { Bounds } from './bounds.ts';

export interface GatewayDependencies {
  readonly context: MasterContext;
  readonly reports: Reports;
  readonly started: Starts;
  readonly bounds: Bounds;
  readonly renewals: Renewals;
}
