import type { JsonValue } from '@keelson/core';
import pg from 'pg';
import type { BoundStatement } from './bind.ts';
import { CLOSE_TIMEOUT_MS, CONNECT_TIMEOUT_MS, SAMPLE_ROWS, settledWithin, SqlError } from './connection.ts';
import type { OpenConnection, StatementEnd } from './connection.ts';
import type { Datasource } from './datasource.ts';
import { readerOf } from './postgresql-values.ts';

/** How the server said no: its fields as the driver hands them over. */
type ServerError = Error & { severity?: string; code?: string; position?: string; detail?: string; hint?: string };

export const openPostgresql: OpenConnection = async (datasource, purpose) => {
  const client = await connect(datasource, purpose);
  const backend = (client as unknown as { processID: number }).processID;
  return {
    execute: (statement) => execute(client, statement),
    close: async () => {
      // With a statement still under way, end() cuts the connection instead of waiting.
      if (!(await settledWithin(client.end(), CLOSE_TIMEOUT_MS))) cut(client);
    },
    cancel: async () => {
      await settledWithin(cancelBackend(datasource, purpose, backend), CLOSE_TIMEOUT_MS);
      cut(client);
    },
  };
};

async function connect({ kind: _, tls = false, ...address }: Datasource, purpose: string): Promise<pg.Client> {
  const client = new pg.Client({
    ...address,
    ssl: tls,
    application_name: purpose,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  });
  // A connection that breaks between two statements fails the next one; unheard, the event would end the worker.
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (error) {
    throw sqlError(error, '');
  }
  return client;
}

async function execute(client: pg.Client, { text, values }: BoundStatement): Promise<StatementEnd> {
  const rows: JsonValue[][] = [];
  let count = 0;
  const types = { getTypeParser: readerOf };
  const config = { text, values: [...values], types, rowMode: 'array', queryMode: 'extended' };
  // With a listener for rows the driver keeps none of them itself.
  const query = new pg.Query(config as pg.QueryConfig);
  const { promise, resolve, reject } = Promise.withResolvers<pg.QueryResult>();
  query.on('row', (row: unknown) => {
    count += 1;
    if (rows.length < SAMPLE_ROWS) rows.push(row as JsonValue[]);
  });
  query.on('end', resolve);
  query.on('error', reject);
  try {
    client.query(query);
    const result = await promise;
    const columns = result.fields.map((field) => field.name);
    return {
      ...(columns.length > 0 && { columns }),
      rows,
      rowCount: columns.length > 0 ? count : (result.rowCount ?? 0),
    };
  } catch (error) {
    throw sqlError(error, text);
  }
}

function sqlError(error: unknown, text: string): SqlError {
  const found = error as ServerError;
  if (found.severity === undefined) return new SqlError(connectionMessage(error), false);
  const line =
    found.position === undefined ? '' : `, line ${text.slice(0, Number(found.position) - 1).split('\n').length}`;
  const several = /cannot insert multiple commands/.test(found.message)
    ? '; give several statements as a list, one each'
    : '';
  const more = [found.detail, found.hint].filter((part) => part !== undefined).map((part) => `; ${part}`);
  // After FATAL the server is gone: even a commit may have been done before.
  return new SqlError(`${found.message} (${found.code}${line})${several}${more.join('')}`, found.severity !== 'FATAL');
}

/** A host with several addresses fails with one error for each, and an empty message for them all. */
function connectionMessage(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(connectionMessage).join('; ');
  return error instanceof Error ? error.message : String(error);
}

async function cancelBackend(datasource: Datasource, purpose: string, backend: number): Promise<void> {
  const client = await connect(datasource, purpose);
  try {
    await client.query('select pg_cancel_backend($1)', [backend]);
  } finally {
    cut(client);
  }
}

function cut(client: pg.Client): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}
