/**
 * The real clock and the real chance: an entry of its own (`@keelson/core/system`), for those who put a process together. Nothing else in
 * core imports it; core itself is given the time.
 */
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';

/** 25 days; Node fires at once what is to wait longer. */
const LONGEST_TIMER_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    if (ms <= LONGEST_TIMER_MS) {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    }
    let cancel = systemClock.after(
      LONGEST_TIMER_MS,
      () => (cancel = systemClock.after(ms - LONGEST_TIMER_MS, callback)),
    );
    return () => cancel();
  },
  soon: (callback) => void setImmediate(callback),
};

export const systemRandom: Random = {
  fraction: () => Math.random(),
  secret: (bytes) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('base64url'),
};
