import type { JsonObject } from '@keelson/core';
import type { Page, PageRequest } from './page.ts';

export interface Alert {
  readonly id: string;
  readonly kind: string;
  readonly instanceId: string | null;
  readonly payload: JsonObject;
  readonly createdAt: string;
  /** Deliveries begun so far. */
  readonly tries: number;
  readonly nextTryAt: string;
  readonly lastError: string | null;
  readonly deliveredAt: string | null;
}

/** An alert to deliver, with what a message about it wants to name. */
export interface DueAlert extends Alert {
  readonly project: string | null;
  readonly workflow: string | null;
}

/** The outbox: written with what it tells of, delivered at least once. */
export interface Alerts {
  /** Takes due ones, oldest first; each comes again after `leaseMs` unless it is marked before. */
  claim(request: { readonly limit: number; readonly leaseMs: number }): Promise<DueAlert[]>;
  delivered(id: string): Promise<void>;
  /** Tries again after a delay that doubles from 5 s to 1 h. */
  failed(id: string, error: string): Promise<void>;
  /** Milliseconds until the next one is due, 0 when one is; undefined when none waits. */
  msUntilDue(): Promise<number | undefined>;
  /** Newest first. */
  list(filter: { readonly undelivered?: boolean }, page: PageRequest): Promise<Page<Alert>>;
}
