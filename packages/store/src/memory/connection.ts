import { ConnectionLost } from '../postgres/errors.ts';
import type { Call, Rows } from '../postgres/session.ts';
import type { Answer, MemoryDatabase } from './database.ts';
import type { Disconnection, FlightHooks, FlightInfo } from './session.ts';
import { sessionEnded, sqlError } from './sql-error.ts';
import { emulationOf } from './statements/all.ts';
import type { Tx } from './transaction.ts';

/** A connection and the backend at its other end. */
export interface Connection {
  /** Flights are run in the order in which they are sent, and answered in that order. */
  send(flight: FlightInfo, calls: readonly Call[]): Promise<Rows[]>;
  lose(how: Disconnection): void;
  isLost(): boolean;
}

/** What the server keeps of a connection. */
interface Backend {
  tx: Tx | undefined;
  /** A statement was refused: the others are too, until the transaction ends. */
  aborted: boolean;
  /** Flights that it is running now or has received. */
  busy: number;
}

export function connect(database: MemoryDatabase, hooks: FlightHooks): Connection {
  const backend: Backend = { tx: undefined, aborted: false, busy: 0 };
  let lost: { readonly silent: boolean } | undefined;
  const told = Promise.withResolvers<never>();
  told.promise.catch(() => undefined);
  let executed: Promise<unknown> = Promise.resolve();
  let answered: Promise<unknown> = Promise.resolve();
  let stopIdling: () => void = () => undefined;

  const endTransaction = (): void => {
    if (backend.tx !== undefined) database.transactions.abort(backend.tx);
    backend.tx = undefined;
  };
  const forgetRestart = database.onRestart(() => lose({}));
  const lose = ({ afterMs = 0, silent = false }: Disconnection): void => {
    if (lost !== undefined) return;
    lost = { silent };
    forgetRestart();
    stopIdling();
    if (!silent) told.reject(new ConnectionLost(false, undefined));
    // A flight that is being run ends its transaction itself.
    const noticed = (): void => (backend.busy === 0 ? endTransaction() : undefined);
    if (afterMs === 0) noticed();
    else database.clock.after(afterMs, noticed);
  };

  const arrive = async (flight: FlightInfo, calls: readonly Call[], before: Promise<unknown>): Promise<Answer[]> => {
    let refusal: unknown;
    try {
      await hooks.beforeExecute?.(flight);
    } catch (error) {
      if (error instanceof ConnectionLost) lose({});
      else refusal = error;
    }
    await before;
    if (lost !== undefined) throw new ConnectionLost(flight.commitSent, undefined);
    stopIdling();
    backend.busy++;
    try {
      return await execute(database, backend, flight, calls, refusal);
    } finally {
      backend.busy--;
      if (lost !== undefined) endTransaction();
      else if (backend.tx !== undefined)
        stopIdling = database.clock.after(database.idleInTransactionMs, () => lose({}));
    }
  };
  const roundTrip = async (flight: FlightInfo, calls: readonly Call[]): Promise<Rows[]> => {
    const execution = arrive(flight, calls, executed);
    executed = execution.catch(() => undefined);
    const before = answered;
    const answer = Promise.withResolvers<void>();
    answered = answer.promise;
    try {
      const rows = await execution.finally(() => hooks.beforeReply?.(flight));
      await before;
      if (lost !== undefined) throw new ConnectionLost(flight.commitSent, undefined);
      return rows;
    } catch (error) {
      if (error instanceof ConnectionLost) lose({});
      throw error;
    } finally {
      answer.resolve();
    }
  };

  return {
    isLost: () => lost !== undefined,
    lose,
    send: (flight, calls) =>
      new Promise((resolve, reject) => {
        const fail = (error: unknown): void => {
          if (lost?.silent === true) return;
          reject(error instanceof ConnectionLost ? new ConnectionLost(flight.commitSent, error.cause) : error);
        };
        told.promise.catch(fail);
        roundTrip(flight, calls).then((rows) => {
          if (lost?.silent !== true) resolve(rows);
        }, fail);
      }),
  };
}

async function execute(
  database: MemoryDatabase,
  backend: Backend,
  { kind, first }: FlightInfo,
  calls: readonly Call[],
  refusal: unknown,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  const failures: unknown[] = refusal === undefined ? [] : [refusal];
  if (first) {
    backend.tx = database.transactions.begin();
    backend.aborted = false;
  }
  if (failures.length > 0) abort(database, backend);
  for (const [at, call] of calls.entries()) {
    if (at === 0 && refusal !== undefined) continue;
    try {
      answers.push(kind === 'run' ? await alone(database, call) : await within(database, backend, call));
    } catch (error) {
      failures.push(error);
      if (kind !== 'run') abort(database, backend);
    }
  }
  const { tx } = backend;
  if (kind === 'commit' || kind === 'rollback') {
    backend.tx = undefined;
    if (tx !== undefined && kind === 'commit' && !backend.aborted) database.commit(tx);
    else if (tx !== undefined) database.transactions.abort(tx);
  }
  if (failures.length > 0) throw failures[0];
  return answers;
}

function abort(database: MemoryDatabase, backend: Backend): void {
  backend.aborted = true;
  // The server gives its locks back at once; the block stays open until the client ends it.
  if (backend.tx !== undefined) database.transactions.abort(backend.tx);
}

async function within(database: MemoryDatabase, backend: Backend, { statement, values }: Call): Promise<Answer> {
  const emulation = emulationOf(statement.name);
  const { tx, aborted } = backend;
  if (tx === undefined || aborted)
    throw sqlError('25P02', 'current transaction is aborted, commands ignored until end of transaction block');
  return database.execute(tx, (it, tables) => emulation(it, tables, values));
}

/** A statement that is a transaction of its own. */
async function alone(database: MemoryDatabase, { statement, values }: Call): Promise<Answer> {
  const emulation = emulationOf(statement.name);
  const tx = database.transactions.begin();
  try {
    const rows = await database.execute(tx, (it, tables) => emulation(it, tables, values));
    if (tx.state !== 'open') throw sessionEnded();
    database.commit(tx);
    return rows;
  } catch (error) {
    database.transactions.abort(tx);
    throw error;
  }
}
