import type { Clock } from '@keelson/core';

/** Commands of the first instances of a crowd wait no longer than this for the last of them to be made. */
const CROWD_MS = 1000;

/**
 * Instances that are due at the same moment, more of them than one transaction makes. Making one costs far less than running it, so a master
 * makes all of them before it begins any: else the first ones' tasks would delay the last ones' beginning.
 */
export interface Crowd {
  /** Some are made, and more are due. */
  grows(): void;
  /** All are made. Answers whether there was a crowd. */
  ends(): boolean;
  /** Milliseconds for which no command is to be applied; 0 when there is no crowd, or it takes too long. */
  waitMs(): number;
}

export function createCrowd(clock: Clock): Crowd {
  let since: number | undefined;
  return {
    grows: () => void (since ??= clock.now()),
    ends: () => {
      const grew = since !== undefined;
      since = undefined;
      return grew;
    },
    waitMs: () => (since === undefined ? 0 : Math.max(0, since + CROWD_MS - clock.now())),
  };
}
