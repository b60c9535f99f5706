import { ConnectionLost } from '../postgres/connection/errors.ts';
import type { Call, Rows } from '../postgres/connection/session.ts';
import { createBackend } from './backend.ts';
import type { Answer, MemoryDatabase } from './database.ts';
import type { Disconnection, FlightHooks, FlightInfo } from './session.ts';

/** A connection, with its backend at the other end. */
export interface Connection {
  /** Flights are run in the order in which they are sent, and answered in that order. */
  send(flight: FlightInfo, calls: readonly Call[]): Promise<Rows[]>;
  lose(how: Disconnection): void;
  isLost(): boolean;
}

export function connect(database: MemoryDatabase, hooks: FlightHooks): Connection {
  const backend = createBackend(database);
  let lost: { readonly silent: boolean } | undefined;
  const told = Promise.withResolvers<never>();
  told.promise.catch(() => undefined);
  const ran = inTurn();
  const answered = inTurn();

  const lose = ({ afterMs = 0, silent = false }: Disconnection): void => {
    if (lost !== undefined) return;
    lost = { silent };
    forgetRestart();
    if (!silent) told.reject(new ConnectionLost(false, undefined));
    if (afterMs === 0) backend.end();
    else database.clock.after(afterMs, backend.end);
  };
  const forgetRestart = database.onRestart(() => lose({}));
  backend.onIdle(() => lose({}));
  const mustLive = ({ commitSent }: FlightInfo): void => {
    if (lost !== undefined) throw new ConnectionLost(commitSent, undefined);
  };

  const roundTrip = async (flight: FlightInfo, calls: readonly Call[]): Promise<Rows[]> => {
    const [myTurn, done] = [ran(), answered()];
    try {
      const refusal = await refusalOf(hooks, flight);
      await myTurn.comes;
      mustLive(flight);
      const outcome = await settled(backend.run(flight, calls, refusal));
      myTurn.over();
      if (lost === undefined) await hooks.beforeReply?.(flight);
      await done.comes;
      mustLive(flight);
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    } catch (error) {
      if (error instanceof ConnectionLost) lose({});
      throw error;
    } finally {
      myTurn.over();
      done.over();
    }
  };

  return {
    isLost: () => lost !== undefined,
    lose,
    send: (flight, calls) => {
      const { promise, resolve, reject } = Promise.withResolvers<Rows[]>();
      const fail = (error: unknown): void => {
        if (lost?.silent === true) return;
        reject(error instanceof ConnectionLost ? new ConnectionLost(flight.commitSent, error.cause) : error);
      };
      told.promise.catch(fail);
      const answer = roundTrip(flight, calls);
      answer.then((rows) => (lost?.silent === true ? undefined : resolve(rows)), fail);
      return promise;
    },
  };
}

interface Turn {
  readonly comes: Promise<void>;
  over(): void;
}

/** One after the other, in the order in which they asked. */
function inTurn(): () => Turn {
  let last: Promise<void> = Promise.resolve();
  return () => {
    const comes = last;
    const mine = Promise.withResolvers<void>();
    // Who is done before its turn has come lets nobody pass before those that it waited for.
    last = Promise.all([comes, mine.promise]).then(() => undefined);
    return { comes, over: mine.resolve };
  };
}

/** What the server is to say instead of running the first statement. A connection that is lost on the way is thrown. */
async function refusalOf(hooks: FlightHooks, flight: FlightInfo): Promise<unknown> {
  try {
    await hooks.beforeExecute?.(flight);
    return undefined;
  } catch (error) {
    if (error instanceof ConnectionLost) throw error;
    return error;
  }
}

async function settled(running: Promise<Answer[]>): Promise<PromiseSettledResult<Answer[]>> {
  const [outcome] = await Promise.allSettled([running]);
  return outcome;
}
