import pg from 'pg';
import { clientConfig, INDEX_PLANS } from './connection.ts';
import type { ConnectionSettings } from './connection.ts';
import { ConnectionLost, sqlState } from './errors.ts';

/** A prepared statement; its name is its identity on a connection, so one name stands for one text. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export interface Call {
  readonly statement: Statement;
  readonly values: readonly unknown[];
}

export function call(statement: Statement, ...values: readonly unknown[]): Call {
  return { statement, values };
}

export type Rows = pg.QueryResultRow[];

export interface Transaction {
  /** Sends all calls at once and answers their rows in order: one round trip. */
  flight(calls: readonly Call[]): Promise<Rows[]>;
  /** The last flight: the calls and COMMIT, sent together. */
  commit(calls: readonly Call[]): Promise<Rows[]>;
  rollback(): Promise<void>;
}

/**
 * One connection that pipelines: all statements of a flight leave together, so that a transaction's locks are never
 * held while this process and the server wait for each other more often than the logic needs.
 */
export interface Session {
  /** BEGIN leaves with the first flight. One transaction at a time. */
  begin(): Transaction;
  /** Calls outside a transaction, each committed by itself. */
  run(calls: readonly Call[]): Promise<Rows[]>;
  close(): Promise<void>;
}

const BEGIN: Call = call({ name: 'begin', text: 'begin' });
const COMMIT: Call = call({ name: 'commit', text: 'commit' });
const ROLLBACK: Call = call({ name: 'rollback', text: 'rollback' });

/** Connects at the first use, and anew after the connection was lost. */
export function openSession(settings: ConnectionSettings): Session {
  let connection: Promise<pg.Client> | undefined;

  const connect = (): Promise<pg.Client> => {
    connection ??= (async () => {
      const client = new pg.Client({
        ...clientConfig({ ...settings, settings: { ...INDEX_PLANS, ...settings.settings } }),
        pipeline: true,
      });
      client.on('error', () => (connection = undefined));
      client.on('end', () => (connection = undefined));
      await client.connect();
      return client;
    })();
    connection.catch(() => (connection = undefined));
    return connection;
  };

  const drop = (client: pg.Client): void => {
    connection = undefined;
    void client.end().catch(() => undefined);
  };

  return {
    begin: () => transaction(connect, drop),
    run: async (calls) => {
      const client = await connect();
      return send(client, calls, true);
    },
    close: async () => {
      const client = await connection?.catch(() => undefined);
      connection = undefined;
      await client?.end();
    },
  };
}

function transaction(connect: () => Promise<pg.Client>, drop: (client: pg.Client) => void): Transaction {
  let client: pg.Client | undefined;
  const flight = async (calls: readonly Call[], last: boolean): Promise<Rows[]> => {
    const first = client === undefined;
    const open = (client ??= await connect());
    const all = [...(first ? [BEGIN] : []), ...calls, ...(last ? [COMMIT] : [])];
    try {
      const rows = await send(open, all, last);
      return first ? rows.slice(1) : rows;
    } catch (error) {
      if (error instanceof ConnectionLost) drop(open);
      // A failed statement turned a COMMIT that followed it into a rollback; without one, end the transaction here.
      else if (!last) await send(open, [ROLLBACK], false).catch(() => drop(open));
      throw error;
    }
  };
  return {
    flight: (calls) => flight(calls, false),
    commit: (calls) => flight(calls, true),
    rollback: async () => {
      const open = client;
      if (open !== undefined) await send(open, [ROLLBACK], false).catch(() => drop(open));
    },
  };
}

/** The first error in statement order wins: those behind it only say that the transaction is aborted. */
async function send(client: pg.Client, calls: readonly Call[], commitSent: boolean): Promise<Rows[]> {
  const socket = streamOf(client);
  socket?.cork();
  const pending = calls.map(({ statement, values }) =>
    client.query({ name: statement.name, text: statement.text, values: [...values] }),
  );
  socket?.uncork();
  const results = await Promise.allSettled(pending);
  const rows: Rows[] = [];
  for (const result of results) {
    if (result.status === 'fulfilled') rows.push(result.value.rows);
    else throw sqlState(result.reason)?.length === 5 ? result.reason : new ConnectionLost(commitSent, result.reason);
  }
  return rows;
}

/** pg writes each statement by itself; corked, a flight is one system call. */
function streamOf(client: pg.Client): { cork(): void; uncork(): void } | undefined {
  const connection: unknown = Reflect.get(client, 'connection');
  if (typeof connection !== 'object' || connection === null) return undefined;
  const stream: unknown = Reflect.get(connection, 'stream');
  return stream instanceof Object && 'cork' in stream && 'uncork' in stream
    ? (stream as { cork(): void; uncork(): void })
    : undefined;
}
