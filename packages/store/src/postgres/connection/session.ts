import pg from 'pg';
import pgValues from 'pg/lib/utils.js';
import { clientConfig, INDEX_PLANS, QUERY_TIMEOUT_MS } from './connection.ts';
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
  /** BEGIN leaves with the first flight; it waits for the end of a transaction that is open. */
  begin(): Transaction;
  /** Calls outside a transaction, each committed by itself; they wait for the end of one that is open. */
  run(calls: readonly Call[]): Promise<Rows[]>;
  close(): Promise<void>;
}

export interface SessionBounds {
  /** How long an answer may take before the connection is given up as cut, in milliseconds. */
  readonly answerWithinMs?: number;
}

/** Makes a session; what needs several connections asks for several. */
export type OpenSession = (bounds?: SessionBounds) => Session;

/** What runs calls that stand alone, each committed by itself: a session, or a pool. */
export type Runner = Pick<Session, 'run'>;

const BEGIN: Call = call({ name: 'begin', text: 'begin' });
const COMMIT: Call = call({ name: 'commit', text: 'commit' });
const ROLLBACK: Call = call({ name: 'rollback', text: 'rollback' });

/**
 * A bound on the whole transaction, beside those on its statements and on the pauses between them. PostgreSQL has it from 17 on, so it
 * cannot be among the settings that every server must know.
 */
const BOUND_TRANSACTIONS = `select set_config(name, '20000', false) from pg_settings where name = 'transaction_timeout'`;

interface Connector {
  connect(): Promise<pg.Client>;
  drop(client: pg.Client): void;
}

/** Connects at the first use, and anew after the connection was lost. */
export function openSession(settings: ConnectionSettings, { answerWithinMs }: SessionBounds = {}): Session {
  let connection: { readonly client: pg.Client; readonly ready: Promise<pg.Client> } | undefined;
  let closed = false;
  /** Settles when the transaction under way has ended: nothing may slip into it. */
  let open: Promise<void> | undefined;

  const forget = (client: pg.Client): void => {
    if (connection?.client === client) connection = undefined;
  };
  const connector: Connector = {
    connect: () => {
      // Whoever still uses it must not hold the process open with a connection that nobody closes any more.
      if (closed) return Promise.reject(new ConnectionLost(false, new Error('the session has been closed')));
      return (connection ??= connectTo(settings, answerWithinMs ?? QUERY_TIMEOUT_MS, forget)).ready;
    },
    drop: (client) => {
      forget(client);
      void client.end().catch(() => undefined);
    },
  };
  const exclusive = async (): Promise<() => void> => {
    while (open !== undefined) await open;
    const { promise, resolve } = Promise.withResolvers<void>();
    open = promise;
    return () => {
      open = undefined;
      resolve();
    };
  };

  return {
    begin: () => transaction(connector, exclusive),
    run: async (calls) => {
      for (;;) {
        const client = await connector.connect();
        if (open === undefined) return await sendOr(connector.drop, client, calls);
        await open;
      }
    },
    close: async () => {
      closed = true;
      const last = connection;
      connection = undefined;
      await last?.ready.catch(() => undefined);
      await last?.client.end();
    },
  };
}

/** A connection that gave no answer is not asked again. */
async function sendOr(drop: Connector['drop'], client: pg.Client, calls: readonly Call[]): Promise<Rows[]> {
  try {
    return await send(client, calls, true);
  } catch (error) {
    if (error instanceof ConnectionLost) drop(client);
    throw error;
  }
}

/** Each call on a connection of a pool of its own choice. */
export function poolRunner(pool: pg.Pool): Runner {
  return {
    run: (calls) =>
      Promise.all(
        calls.map(
          async ({ statement, values }) =>
            (await pool.query({ name: statement.name, text: statement.text, values: [...values] })).rows,
        ),
      ),
  };
}

function connectTo(settings: ConnectionSettings, answerWithinMs: number, forget: (client: pg.Client) => void) {
  const config = clientConfig({ ...settings, settings: { ...INDEX_PLANS, ...settings.settings } });
  const client = new pg.Client({ ...config, query_timeout: answerWithinMs, pipeline: true });
  client.on('error', () => forget(client));
  client.on('end', () => forget(client));
  const ready = client
    .connect()
    .then(() => client.query(BOUND_TRANSACTIONS))
    .then(() => client);
  ready.catch(() => forget(client));
  return { client, ready };
}

function transaction({ connect, drop }: Connector, exclusive: () => Promise<() => void>): Transaction {
  let client: pg.Client | undefined;
  let release: (() => void) | undefined;
  const over = (): void => {
    client = undefined;
    release?.();
    release = undefined;
  };
  const rollback = async (connected: pg.Client): Promise<void> => {
    await send(connected, [ROLLBACK], false).catch(() => drop(connected));
  };
  const flight = async (calls: readonly Call[], last: boolean): Promise<Rows[]> => {
    const first = release === undefined;
    release ??= await exclusive();
    try {
      const connected = (client ??= await connect());
      const all = [...(first ? [BEGIN] : []), ...calls, ...(last ? [COMMIT] : [])];
      const rows = await send(connected, all, last);
      if (last) over();
      return first ? rows.slice(1) : rows;
    } catch (error) {
      const connected = client;
      if (connected !== undefined) {
        if (error instanceof ConnectionLost) drop(connected);
        // A statement that the server refused turned the COMMIT behind it into a rollback; without one, end the transaction here.
        else if (!last || sqlState(error)?.length !== 5) await rollback(connected);
      }
      over();
      throw error;
    }
  };
  return {
    flight: (calls) => flight(calls, false),
    commit: (calls) => flight(calls, true),
    rollback: async () => {
      if (client !== undefined) await rollback(client);
      over();
    },
  };
}

/**
 * Sends the calls together. All values are made ready first: one that cannot be sent must not leave the others, COMMIT among them, on
 * their way. The first error in statement order wins: those behind it only say that the transaction is aborted.
 */
async function send(client: pg.Client, calls: readonly Call[], commitSent: boolean): Promise<Rows[]> {
  const queries = calls.map(({ statement, values }) => ({
    name: statement.name,
    text: statement.text,
    values: values.map((value) => pgValues.prepareValue(value)),
  }));
  const socket = streamOf(client);
  socket?.cork();
  const pending = queries.map((query) => client.query(query));
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
