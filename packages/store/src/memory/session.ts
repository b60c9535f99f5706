import { ConnectionLost } from '../postgres/connection/errors.ts';
import type { Call, Rows, Session, SessionBounds, Transaction } from '../postgres/connection/session.ts';
import { connect } from './connection.ts';
import type { Connection } from './connection.ts';
import type { MemoryDatabase } from './database.ts';

/** One round trip: what leaves together. */
export interface FlightInfo {
  /** `<owner>#<number>`. */
  readonly session: string;
  readonly owner: string;
  /** `run`: statements that stand alone. `commit` ends with COMMIT. */
  readonly kind: 'flight' | 'commit' | 'rollback' | 'run';
  /** Names of the statements. */
  readonly names: readonly string[];
  /** BEGIN goes with it. */
  readonly first: boolean;
  /** If its answer is lost, what it did may be committed. */
  readonly commitSent: boolean;
  /** After so long without an answer the client gives the connection up; whoever delays flights sees to that. */
  readonly answerWithinMs?: number | undefined;
}

/**
 * Chances to delay a flight, or to lose it: by throwing a `ConnectionLost`, which becomes one with the right `commitSent`. An error with an
 * SQLSTATE, thrown before, is what the server answers instead of running the first statement.
 */
export interface FlightHooks {
  /** On its way to the server: lost here it has done nothing. */
  beforeExecute?(flight: FlightInfo): Promise<void> | void;
  /** On its way back: what it did is done, and committed if it committed. */
  beforeReply?(flight: FlightInfo): Promise<void> | void;
}

export interface Disconnection {
  /** How long the server takes to notice (milliseconds); until then locks stay held. Default: it knows at once. */
  readonly afterMs?: number;
  /** Nobody is there any more to be told: what is pending never settles. */
  readonly silent?: boolean;
}

export interface MemorySession extends Session {
  /** Loses its connection: a flight that the server is running is run to its end. The next call connects anew, unless `silent`. */
  disconnect(how?: Disconnection): void;
}

/** A session as postgres/session.ts has them: one connection, flights in order, one transaction at a time. */
export function openMemorySession(
  database: MemoryDatabase,
  owner: string,
  number: number,
  hooks: FlightHooks = {},
  { answerWithinMs }: SessionBounds = {},
): MemorySession {
  const session = `${owner}#${number}`;
  let connection: Connection | undefined;
  let open: Promise<void> | undefined;
  const connected = (): Connection => {
    if (connection === undefined || connection.isLost()) connection = connect(database, hooks);
    return connection;
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
  const info = (kind: FlightInfo['kind'], calls: readonly Call[], first: boolean): FlightInfo => {
    const names = calls.map(({ statement }) => statement.name);
    const commitSent = kind === 'commit' || kind === 'run';
    return { session, owner, kind, names, first, commitSent, answerWithinMs };
  };
  return {
    begin: () => transaction(connected, exclusive, info),
    run: async (calls) => {
      while (open !== undefined) await open;
      return connected().send(info('run', calls, false), calls);
    },
    close: async () => connection?.lose({}),
    disconnect: (how = {}) => connection?.lose(how),
  };
}

function transaction(
  connected: () => Connection,
  exclusive: () => Promise<() => void>,
  info: (kind: FlightInfo['kind'], calls: readonly Call[], first: boolean) => FlightInfo,
): Transaction {
  let connection: Connection | undefined;
  let release: (() => void) | undefined;
  const over = (): void => {
    connection = undefined;
    release?.();
    release = undefined;
  };
  const rollback = async (): Promise<void> => {
    await connection?.send(info('rollback', [], false), []).catch(() => connection?.lose({}));
  };
  const flight = async (kind: 'flight' | 'commit', calls: readonly Call[]): Promise<Rows[]> => {
    const first = release === undefined;
    release ??= await exclusive();
    connection ??= connected();
    try {
      const rows = await connection.send(info(kind, calls, first), calls);
      if (kind === 'commit') over();
      return rows;
    } catch (error) {
      if (kind === 'flight' && !(error instanceof ConnectionLost)) await rollback();
      over();
      throw error;
    }
  };
  return {
    flight: (calls) => flight('flight', calls),
    commit: (calls) => flight('commit', calls),
    rollback: async () => {
      await rollback();
      over();
    },
  };
}
