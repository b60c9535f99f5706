import type { Clock } from '@keelson/core';
import type { SignalChannel, Signals } from '../signals.ts';

/** A wake-up on its way from one process to another. */
export interface SignalInFlight {
  readonly from: string;
  readonly to: string;
  readonly channel: SignalChannel;
  readonly topic: string | undefined;
}

/** What all processes of a cluster send their wake-ups over. */
export interface MemoryBus {
  join(owner: string): Signals;
}

type Heard = (topic: string | undefined) => void;

/**
 * Wake-ups without PostgreSQL. Many to one channel in one turn become one, as in postgres/signals.ts.
 *
 * @param deliver may call `arrive` later, or never: a lost wake-up
 */
export function memoryBus(
  clock: Pick<Clock, 'soon'>,
  deliver: (signal: SignalInFlight, arrive: () => void) => void = (_signal, arrive) => arrive(),
): MemoryBus {
  const members = new Map<string, (channel: SignalChannel, topic: string | undefined) => void>();
  return {
    join: (owner) => {
      const listeners = new Map<SignalChannel, Set<Heard>>();
      const tell = (channel: SignalChannel, topic: string | undefined): void => {
        for (const heard of listeners.get(channel) ?? []) heard(topic);
      };
      members.set(owner, tell);
      const outbox = new Map<SignalChannel, Set<string>>();
      const flush = (): void => {
        for (const [channel, topics] of outbox)
          for (const topic of topics.has('') ? [undefined] : topics)
            for (const [to, hear] of members)
              if (to !== owner)
                deliver({ from: owner, to, channel, topic }, () => {
                  if (members.get(to) === hear) hear(channel, topic);
                });
        outbox.clear();
      };
      return {
        send: (channel, topic = '') => {
          clock.soon(() => tell(channel, topic === '' ? undefined : topic));
          if (outbox.size === 0) clock.soon(flush);
          outbox.set(channel, (outbox.get(channel) ?? new Set<string>()).add(topic));
        },
        listen: (channel, heard) => {
          const all = listeners.get(channel) ?? new Set();
          listeners.set(channel, all.add(heard));
          return () => void all.delete(heard);
        },
        close: async () => {
          if (members.get(owner) === tell) members.delete(owner);
        },
      };
    },
  };
}
