import pg from 'pg';
import { clientConfig } from './connection.ts';
import type { ConnectionSettings } from './connection.ts';
import { HEARTBEAT_ANSWER_MS, startHeartbeat } from './heartbeat.ts';
import type { Queryable } from './rows.ts';

const CHANNEL = 'keelson_log';
const QUIET_MS = 50;
const RECONNECT_MS = 500;
/** A NOTIFY payload may have 8000 bytes. */
const MAX_PAYLOAD = 7000;

/** Tells those who follow a log, in any process, that it has grown. */
export interface LogSignals {
  /** At most one message every 50 ms leaves the process, outside transactions. */
  grown(attemptId: string): void;
  /** Resolves once nothing can be missed any more. */
  watch(attemptId: string, more: () => void): Promise<() => void>;
  close(): Promise<void>;
}

type Watchers = Map<string, Set<() => void>>;

/** @param sender a pool outside every transaction */
export function createLogSignals(settings: ConnectionSettings, sender: Queryable): LogSignals {
  const watchers: Watchers = new Map();
  const listener = listenWhileWatched(settings, watchers);
  const grown = new Set<string>();
  let timer: NodeJS.Timeout | undefined;

  const send = async (): Promise<void> => {
    timer = undefined;
    const ids = [...grown].join(' ');
    grown.clear();
    // A lost message is made up for by the next one; followers also look by themselves now and then.
    await sender
      .query('select pg_notify($1, $2)', [CHANNEL, ids.length > MAX_PAYLOAD ? '' : ids])
      .catch(() => undefined);
  };

  return {
    grown: (attemptId) => {
      grown.add(attemptId);
      timer ??= setTimeout(() => void send(), QUIET_MS);
    },
    watch: async (attemptId, more) => {
      const set = watchers.get(attemptId) ?? new Set();
      watchers.set(attemptId, set.add(more));
      await listener.ready();
      return () => {
        set.delete(more);
        if (set.size === 0 && watchers.get(attemptId) === set) watchers.delete(attemptId);
      };
    },
    close: async () => {
      if (timer !== undefined) {
        clearTimeout(timer);
        await send();
      }
      watchers.clear();
      await listener.close();
    },
  };
}

interface Listener {
  ready(): Promise<void>;
  close(): Promise<void>;
}

/** Connects at the first watch; after a gap every watcher is told to look. */
function listenWhileWatched(settings: ConnectionSettings, watchers: Watchers): Listener {
  let held: { readonly client: pg.Client; readonly ready: Promise<void> } | undefined;
  let closed = false;
  let retry: NodeJS.Timeout | undefined;

  const tell = (attemptIds: Iterable<string>): void => {
    for (const id of attemptIds) for (const more of watchers.get(id) ?? []) more();
  };

  const open = (): Promise<void> => {
    if (held !== undefined) return held.ready;
    const client = new pg.Client({ ...clientConfig(settings), query_timeout: HEARTBEAT_ANSWER_MS });
    const heartbeat: { stop?: () => void } = {};
    const lost = (): void => {
      heartbeat.stop?.();
      if (held?.client !== client) return;
      held = undefined;
      clearTimeout(retry);
      if (!closed) retry = setTimeout(reconnect, RECONNECT_MS);
    };
    client.on('error', lost);
    client.on('end', lost);
    client.on('notification', ({ payload = '' }) => tell(payload === '' ? [...watchers.keys()] : payload.split(' ')));
    held = { client, ready: listen(client) };
    held.ready.then(() => (heartbeat.stop = startHeartbeat(client)), lost);
    return held.ready;
  };

  const reconnect = (): void => {
    if (closed || watchers.size === 0) return;
    open().then(
      () => tell([...watchers.keys()]),
      () => undefined,
    );
  };

  return {
    ready: open,
    close: async () => {
      closed = true;
      clearTimeout(retry);
      await held?.client.end().catch(() => undefined);
    },
  };
}

async function listen(client: pg.Client): Promise<void> {
  try {
    await client.connect();
    await client.query(`listen ${CHANNEL}`);
  } catch (error) {
    void client.end().catch(() => undefined);
    throw error;
  }
}
