import pg from 'pg';
import { clientConfig } from './connection.ts';
import type { ConnectionSettings } from './connection.ts';
import { HEARTBEAT_ANSWER_MS, startHeartbeat } from './heartbeat.ts';
import type { SignalChannel, Signals } from '../../signals.ts';

const CHANNELS: readonly SignalChannel[] = ['command', 'ready', 'kill', 'bound', 'alert', 'followup'];
const RECONNECT_MS = 500;
/** A NOTIFY payload may have 8000 bytes. */
const MAX_PAYLOAD = 7000;

type Heard = (topic: string | undefined) => void;

/** @param heartbeatMs how often the listening connection is asked whether it is there */
export function createSignals(
  settings: ConnectionSettings,
  log: (message: string, error: unknown) => void,
  heartbeatMs?: number,
): Signals {
  const listeners = new Map<SignalChannel, Set<Heard>>(CHANNELS.map((channel) => [channel, new Set()]));
  const tell = (channel: SignalChannel, topic: string | undefined): void => {
    for (const heard of listeners.get(channel) ?? []) heard(topic);
  };
  const connection = keepConnected(settings, tell, log, heartbeatMs);
  const outbox = new Map<SignalChannel, Set<string>>();
  let sending = false;

  const flush = async (): Promise<void> => {
    if (sending) return;
    sending = true;
    while (outbox.size > 0) {
      const batch = [...outbox];
      outbox.clear();
      await connection.notify(batch.map(([channel, topics]) => [channelName(channel), payload(topics)]));
    }
    sending = false;
  };

  return {
    send: (channel, topic = '') => {
      setImmediate(tell, channel, topic === '' ? undefined : topic);
      const topics = outbox.get(channel) ?? new Set();
      outbox.set(channel, topics.add(topic));
      setImmediate(() => void flush());
    },
    listen: (channel, heard) => {
      listeners.get(channel)?.add(heard);
      return () => listeners.get(channel)?.delete(heard);
    },
    close: connection.close,
  };
}

const channelName = (channel: SignalChannel): string => `keelson_${channel}`;

/** Topics one a line; an empty payload stands for all of them. */
function payload(topics: ReadonlySet<string>): string {
  const text = [...topics].join('\n');
  return topics.has('') || text.length > MAX_PAYLOAD ? '' : text;
}

interface Connection {
  notify(messages: readonly (readonly [channel: string, payload: string])[]): Promise<void>;
  close(): Promise<void>;
}

/** One connection that listens and notifies, opened anew for as long as it takes; after each gap everybody is told to look. */
function keepConnected(
  settings: ConnectionSettings,
  tell: (channel: SignalChannel, topic: string | undefined) => void,
  log: (message: string, error: unknown) => void,
  heartbeatMs: number | undefined,
): Connection {
  let client: pg.Client | undefined;
  let closed = false;
  let retry: NodeJS.Timeout | undefined;

  const connect = async (): Promise<void> => {
    const fresh = new pg.Client({ ...clientConfig(settings), query_timeout: HEARTBEAT_ANSWER_MS });
    const heartbeat: { stop?: () => void } = {};
    const lost = (error?: unknown): void => {
      heartbeat.stop?.();
      if (client !== fresh) return;
      client = undefined;
      if (closed) return;
      log('lost the connection that listens for wake-ups', error);
      retry = setTimeout(() => void connect(), RECONNECT_MS);
    };
    fresh.on('error', lost);
    fresh.on('end', lost);
    fresh.on('notification', ({ channel, payload: topics, processId }) => {
      // Our own listeners were told when it was sent.
      if (processId === Reflect.get(fresh, 'processID')) return;
      const name = CHANNELS.find((candidate) => channelName(candidate) === channel);
      if (name !== undefined)
        for (const topic of (topics ?? '').split('\n')) tell(name, topic === '' ? undefined : topic);
    });
    client = fresh;
    try {
      await fresh.connect();
      await fresh.query(CHANNELS.map((channel) => `listen ${channelName(channel)}`).join(';'));
    } catch (error) {
      void fresh.end().catch(() => undefined);
      return lost(error);
    }
    heartbeat.stop = startHeartbeat(fresh, heartbeatMs);
    for (const channel of CHANNELS) tell(channel, undefined);
  };
  void connect();

  return {
    notify: async (messages) => {
      const names = messages.map(([name]) => name);
      const payloads = messages.map(([, text]) => text);
      const text = 'select pg_notify(u.name, u.payload) from unnest($1::text[], $2::text[]) as u(name, payload)';
      // A lost wake-up costs the listeners one fallback poll.
      await client?.query({ name: 'notify', text, values: [names, payloads] }).catch(() => undefined);
    },
    close: async () => {
      closed = true;
      clearTimeout(retry);
      await client?.end().catch(() => undefined);
    },
  };
}
