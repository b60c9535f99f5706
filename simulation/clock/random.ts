import type { Random } from '@keelson/core';

/** Chance that a seed decides. Whoever draws often has a stream of its own, so that one draw more in one place changes nothing elsewhere. */
export interface Dice extends Random {
  /** From `low` up to, but not, `high`. */
  between(low: number, high: number): number;
  /** A whole number, both ends included. */
  whole(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** Waiting time until the next of events that come `perSecond` on average, in milliseconds. */
  wait(perSecond: number): number;
  /** Another stream, which depends on this one's seed and the name alone. */
  stream(name: string): Dice;
}

/** Mixes a text into a 32-bit number (FNV-1a with a final avalanche). */
export function hashText(text: string, start = 0x811c9dc5): number {
  let hash = start;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** mulberry32. */
export function openDice(seed: number): Dice {
  let state = seed >>> 0;
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const whole = (low: number, high: number): number => low + Math.floor(fraction() * (high - low + 1));
  return {
    fraction,
    whole,
    between: (low, high) => low + fraction() * (high - low),
    chance: (probability) => fraction() < probability,
    pick: <T>(items: readonly T[]): T => items[whole(0, items.length - 1)] as T,
    wait: (perSecond) => (-Math.log(1 - fraction()) / perSecond) * 1000,
    secret: (bytes) => Array.from({ length: Math.ceil((bytes * 4) / 3) }, () => LETTERS[whole(0, 63)]).join(''),
    stream: (name) => openDice(hashText(name, seed >>> 0)),
  };
}
