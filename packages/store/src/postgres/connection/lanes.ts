import type { OpenSession, Session } from './session.ts';

/** A few pipelined sessions, each used by one transaction at a time; who finds none free waits in line. */
export interface SessionLanes {
  use<T>(work: (session: Session) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export function sessionLanes(open: OpenSession, count: number): SessionLanes {
  const all = Array.from({ length: count }, open);
  const free = [...all];
  const line: ((session: Session) => void)[] = [];
  const acquire = (): Promise<Session> => {
    const session = free.pop();
    return session === undefined ? new Promise((resolve) => line.push(resolve)) : Promise.resolve(session);
  };
  const release = (session: Session): void => {
    const next = line.shift();
    if (next === undefined) free.push(session);
    else next(session);
  };
  return {
    use: async (work) => {
      const session = await acquire();
      try {
        return await work(session);
      } finally {
        release(session);
      }
    },
    close: async () => {
      await Promise.all(all.map((session) => session.close()));
    },
  };
}
