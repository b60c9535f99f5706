import type { JsonValue } from '@keelson/core';
import type { BoundStatement } from './bind.ts';
import type { Datasource } from './datasource.ts';

/** Rows that are kept of a result; the others are only counted, so that a huge one does not fill the worker's memory. */
export const SAMPLE_ROWS = 20;

/** What a statement did. */
export interface StatementEnd {
  /** Names of the columns; absent when the statement returns no rows by its kind. */
  readonly columns?: readonly string[];
  /** The first rows, values in the order of the columns. */
  readonly rows: readonly (readonly JsonValue[])[];
  /** Rows returned, or else rows changed. */
  readonly rowCount: number;
}

/** One connection to a database, for one attempt. Failures are `SqlError`s. */
export interface SqlConnection {
  execute(statement: BoundStatement): Promise<StatementEnd>;
  /** Breaks off what runs, on the server too, and then the connection. Never rejects. */
  cancel(): Promise<void>;
  /** Ends the connection; what is not committed is rolled back. Never rejects. */
  close(): Promise<void>;
}

export type OpenConnection = (datasource: Datasource, purpose: string) => Promise<SqlConnection>;

/** A failed statement or connection, in the driver's words. */
export class SqlError extends Error {
  /** True when the server refused it; false when the connection broke, so that nobody knows what the server did. */
  readonly refused: boolean;

  constructor(message: string, refused: boolean) {
    super(message);
    this.name = 'SqlError';
    this.refused = refused;
  }
}

/** How long cancelling or closing may take before the connection is cut. */
export const CLOSE_TIMEOUT_MS = 2_000;
export const CONNECT_TIMEOUT_MS = 10_000;

/** Waits for a promise, but no longer than the time; never rejects. True when it was fulfilled in time. */
export async function settledWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(resolve, ms, false);
  const done = promise.then(
    () => true as const,
    () => false as const,
  );
  return Promise.race([done, late]).finally(() => clearTimeout(timer));
}
