import type { Call } from '../postgres/connection/session.ts';
import type { Answer, MemoryDatabase } from './database.ts';
import type { FlightInfo } from './session.ts';
import { sessionEnded, sqlError } from './sql-error.ts';
import { emulationOf } from './statements/all.ts';
import type { Tx } from './transaction.ts';

/** The server's side of a connection. */
export interface Backend {
  /**
   * Runs what a flight brought. The first refusal wins; a transaction that had one is rolled back at its end.
   *
   * @param refusal what the server says instead of running the first statement
   */
  run(flight: FlightInfo, calls: readonly Call[], refusal: unknown): Promise<Answer[]>;
  /** The client is gone: rolls back what is open, after the flight that it is running. */
  end(): void;
  /** The client takes too long to go on: its session is ended. */
  onIdle(then: () => void): void;
}

export function createBackend(database: MemoryDatabase): Backend {
  let tx: Tx | undefined;
  let aborted = false;
  let running = false;
  let ending = false;
  let stopIdling: () => void = () => undefined;
  let idle: () => void = () => undefined;

  /** The server gives locks back at once; the block stays open until the client ends it. */
  const abort = (): void => {
    aborted = true;
    if (tx !== undefined) database.transactions.abort(tx);
  };
  const endBlock = (commit: boolean): void => {
    if (tx !== undefined && commit && !aborted) database.commit(tx);
    else abort();
    tx = undefined;
  };
  const statement = (call: Call): Promise<Answer> => {
    if (tx === undefined || aborted) throw refusedBlock();
    return execute(database, tx, call);
  };
  const runAll = async ({ kind, first }: FlightInfo, calls: readonly Call[], refusal: unknown): Promise<Answer[]> => {
    const answers: Answer[] = [];
    const failures: unknown[] = [];
    if (first) {
      tx = database.transactions.begin();
      aborted = false;
    }
    for (const [at, call] of calls.entries())
      try {
        if (at === 0 && refusal !== undefined) throw refusal;
        answers.push(kind === 'run' ? await alone(database, call) : await statement(call));
      } catch (error) {
        failures.push(error);
        if (kind !== 'run') abort();
      }
    if (kind === 'commit' || kind === 'rollback') endBlock(kind === 'commit');
    if (failures.length > 0) throw failures[0];
    return answers;
  };

  return {
    run: async (flight, calls, refusal) => {
      stopIdling();
      running = true;
      try {
        return await runAll(flight, calls, refusal);
      } finally {
        running = false;
        if (ending) endBlock(false);
        else if (tx !== undefined) stopIdling = database.clock.after(database.idleInTransactionMs, () => idle());
      }
    },
    end: () => {
      ending = true;
      stopIdling();
      if (!running) endBlock(false);
    },
    onIdle: (then) => (idle = then),
  };
}

function refusedBlock(): Error {
  return sqlError('25P02', 'current transaction is aborted, commands ignored until end of transaction block');
}

function execute(database: MemoryDatabase, tx: Tx, { statement, values }: Call): Promise<Answer> {
  const emulation = emulationOf(statement.name);
  return database.execute(tx, (it, tables) => emulation(it, tables, values));
}

/** A statement that is a transaction of its own. */
async function alone(database: MemoryDatabase, call: Call): Promise<Answer> {
  const tx = database.transactions.begin();
  try {
    const rows = await execute(database, tx, call);
    if (tx.state !== 'open') throw sessionEnded();
    database.commit(tx);
    return rows;
  } catch (error) {
    database.transactions.abort(tx);
    throw error;
  }
}
