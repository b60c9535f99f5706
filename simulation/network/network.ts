import type { Life } from '../clock/life.ts';
import type { Dice } from '../clock/random.ts';
import type { Timeline } from '../clock/timeline.ts';
import type { Trace } from '../trace/trace.ts';

/** How well messages get through now. */
export interface Weather {
  /** Messages that take much longer than the others, as a share of 1; later ones overtake them. */
  slow: number;
  /** Messages that are lost with their connection. */
  lost: number;
  /** Requests that arrive twice. */
  doubled: number;
}

/** The links between all nodes, each of its two directions by itself. */
export interface Network {
  readonly weather: Weather;
  /** Milliseconds that a message takes. */
  latency(): number;
  isCut(from: string, to: string): boolean;
  /** Nothing gets from one to the other from now on; what is sent meanwhile arrives after the mending, or never. */
  cut(from: string, to: string): void;
  mend(from: string, to: string): void;
  /** Resolves once the link is whole: at once, if it is. */
  whole(from: string, to: string): Promise<void>;
  /** Calls `arrive` when the message has come through; never, if it is lost. */
  send(from: string, to: string, arrive: () => void): void;
  /** Whether a process listens at this node, and which. */
  readonly listeners: Map<string, Listener>;
}

/** A process that takes calls. */
export interface Listener {
  readonly life: Life;
  /** @param closed aborts when the caller has gone */
  answer(request: Request, closed: AbortSignal): Promise<Reply>;
}

export interface Request {
  /** `poll`, `report`, …, or `api/start`. */
  readonly path: string;
  readonly bearer: string;
  readonly body: string;
}

export interface Reply {
  readonly status: number;
  readonly body: string;
}

const MOST_SLOW_MS = 4000;
/** A connection over a link that was cut tries again now and then. */
const RESEND_MS = 400;

export function openNetwork(timeline: Timeline, dice: Dice, trace: Trace): Network {
  const cuts = new Map<string, (() => void)[]>();
  const weather: Weather = { slow: 0, lost: 0, doubled: 0 };
  const key = (from: string, to: string): string => `${from}>${to}`;
  const latency = (): number =>
    dice.chance(weather.slow) ? dice.between(5, MOST_SLOW_MS) : dice.between(0.1, 1) + dice.fraction() ** 8 * 30;
  const whole = (from: string, to: string): Promise<void> => {
    const waiting = cuts.get(key(from, to));
    return waiting === undefined ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve));
  };
  return {
    weather,
    latency,
    listeners: new Map(),
    whole,
    isCut: (from, to) => cuts.has(key(from, to)),
    cut: (from, to) => {
      if (!cuts.has(key(from, to))) cuts.set(key(from, to), []);
    },
    mend: (from, to) => {
      const waiting = cuts.get(key(from, to)) ?? [];
      cuts.delete(key(from, to));
      for (const resume of waiting) timeline.after(dice.between(0, RESEND_MS), resume);
    },
    send: (from, to, arrive) => {
      if (dice.chance(weather.lost)) return trace.note(from, `loses a message to ${to}`);
      const waiting = cuts.get(key(from, to));
      const travel = (): void => void timeline.after(latency(), arrive);
      if (waiting === undefined) travel();
      else waiting.push(travel);
    },
  };
}
