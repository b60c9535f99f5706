import { createConnection, type Connection, type FieldPacket, type ResultSetHeader } from 'mysql2';
import type { JsonValue } from '@keelson/core';
import type { BoundStatement } from './bind.ts';
import { CLOSE_TIMEOUT_MS, CONNECT_TIMEOUT_MS, SAMPLE_ROWS, settledWithin, SqlError } from './connection.ts';
import type { OpenConnection, StatementEnd } from './connection.ts';
import type { Datasource } from './datasource.ts';
import { exactNumber, isoTime, jsonSafe } from './values.ts';

/** Column types of the wire protocol whose text needs a reading of its own. */
const DECIMAL = new Set([0, 246]);
const TIME = new Set([7, 12]);

export const openMysql: OpenConnection = async (datasource) => {
  const connection = await connect(datasource);
  return {
    execute: (statement) => execute(connection, statement),
    close: async () => {
      const ended = new Promise<void>((resolve) => connection.end(() => resolve()));
      if (!(await settledWithin(ended, CLOSE_TIMEOUT_MS))) connection.destroy();
    },
    cancel: async () => {
      await settledWithin(killQuery(datasource, connection.threadId), CLOSE_TIMEOUT_MS);
      connection.destroy();
    },
  };
};

async function connect({ kind: _, tls = false, ...address }: Datasource): Promise<Connection> {
  const connection = createConnection({
    ...address,
    ...(tls && { ssl: { rejectUnauthorized: true, verifyIdentity: true, minVersion: 'TLSv1.2' } }),
    connectTimeout: CONNECT_TIMEOUT_MS,
    // Else the driver compiles its row readers from text.
    disableEval: true,
    dateStrings: true,
    supportBigNumbers: true,
    rowsAsArray: true,
  });
  // A connection that breaks between two statements fails the next one; unheard, the event would end the worker.
  connection.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    connection.connect((error) => (error === null ? resolve() : reject(sqlError(error))));
  });
  return connection;
}

/** Without a callback the driver keeps no rows. A procedure sends several results; its last one counts. */
function execute(connection: Connection, { text, values }: BoundStatement): Promise<StatementEnd> {
  const { promise, resolve, reject } = Promise.withResolvers<StatementEnd>();
  let end: StatementEnd & { rows: JsonValue[][]; rowCount: number } = { rows: [], rowCount: 0 };
  let fields: readonly FieldPacket[] | undefined;
  // Not every statement can be prepared, and one without values need not be.
  const query = values.length === 0 ? connection.query(text) : connection.execute(text, [...values]);
  query.on('fields', (found: FieldPacket[] | undefined) => {
    fields = found;
    if (found !== undefined) end = { columns: found.map((field) => field.name), rows: [], rowCount: 0 };
  });
  query.on('result', (row: unknown) => {
    if (fields === undefined) {
      if (end.columns === undefined) end = { rows: [], rowCount: (row as ResultSetHeader).affectedRows };
      return;
    }
    if (end.rowCount < SAMPLE_ROWS) end.rows.push(rowValues(row as unknown[], fields));
    end = { ...end, rowCount: end.rowCount + 1 };
  });
  const broken = (error: unknown) => reject(sqlError(error));
  query.on('error', broken);
  query.on('end', () => resolve(end));
  // Of a broken connection the command itself hears nothing.
  connection.on('error', broken);
  return promise.finally(() => connection.off('error', broken));
}

function rowValues(row: readonly unknown[], fields: readonly FieldPacket[]): JsonValue[] {
  return row.map((value, index) => {
    const type = fields[index]?.columnType ?? -1;
    if (typeof value === 'string' && DECIMAL.has(type)) return exactNumber(value);
    if (typeof value === 'string' && TIME.has(type)) return isoTime(value);
    return jsonSafe(value);
  });
}

function sqlError(error: unknown): SqlError {
  const { code, sqlState, message } = error as { code?: string; sqlState?: string; message: string };
  const refused = typeof sqlState === 'string' && sqlState !== '';
  return new SqlError(code === undefined || message.includes(code) ? message : `${message} (${code})`, refused);
}

async function killQuery(datasource: Datasource, threadId: number): Promise<void> {
  const connection = await connect(datasource);
  try {
    await execute(connection, { text: `kill query ${Math.trunc(threadId)}`, values: [] });
  } finally {
    connection.destroy();
  }
}
