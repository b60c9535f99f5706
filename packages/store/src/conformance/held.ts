import type { Call, OpenSession, Rows, Session, Transaction } from '../postgres/connection/session.ts';

/** A transaction that has run its statements and has not committed. */
export interface Held {
  /** Resolves when the statement has run. */
  readonly reached: Promise<void>;
  /** Lets it commit. */
  release(): void;
  /** Rolls it back; whoever waits for it gets the error. */
  refuse(error: Error): void;
}

export interface Holder {
  readonly open: OpenSession;
  /** The next transaction with a statement of this name stops before its COMMIT. */
  hold(name: string): Held;
  /** The statement of this name, once it was used. */
  used(name: string): Call['statement'] | undefined;
}

interface Gate extends Held {
  readonly name: string;
  pass(): Promise<void>;
}

/** Sessions whose transactions can be stopped between what they do and their COMMIT, whatever stands behind them. */
export function holder(open: OpenSession): Holder {
  const gates: Gate[] = [];
  const statements = new Map<string, Call['statement']>();
  const record = (calls: readonly Call[]): void => {
    for (const { statement } of calls) statements.set(statement.name, statement);
  };
  const gateOf = (calls: readonly Call[]): Gate | undefined => {
    record(calls);
    const at = gates.findIndex(({ name }) => calls.some(({ statement }) => statement.name === name));
    return at < 0 ? undefined : gates.splice(at, 1)[0];
  };
  const commit = async (transaction: Transaction, calls: readonly Call[]): Promise<Rows[]> => {
    const gate = gateOf(calls);
    if (gate === undefined) return transaction.commit(calls);
    const rows = await transaction.flight(calls);
    try {
      await gate.pass();
    } catch (error) {
      await transaction.rollback();
      throw error;
    }
    await transaction.commit([]);
    return rows;
  };
  const wrap = (session: Session): Session => ({
    begin: () => {
      const transaction = session.begin();
      const flight = (calls: readonly Call[]): Promise<Rows[]> => {
        record(calls);
        return transaction.flight(calls);
      };
      return { ...transaction, flight, commit: (calls) => commit(transaction, calls) };
    },
    run: (calls) =>
      gates.some(({ name }) => calls.some(({ statement }) => statement.name === name))
        ? commit(session.begin(), calls)
        : session.run(calls),
    close: () => session.close(),
  });
  return {
    open: () => wrap(open()),
    used: (name) => statements.get(name),
    hold: (name) => {
      const reached = Promise.withResolvers<void>();
      const go = Promise.withResolvers<void>();
      go.promise.catch(() => undefined);
      const pass = (): Promise<void> => {
        reached.resolve();
        return go.promise;
      };
      const gate: Gate = { name, reached: reached.promise, release: go.resolve, refuse: go.reject, pass };
      gates.push(gate);
      return gate;
    },
  };
}
