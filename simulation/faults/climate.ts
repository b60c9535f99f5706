import type { Dice } from '../clock/random.ts';
import type { Weather } from '../network/network.ts';

/** What may go wrong, and how often. A seed draws one; the kinds that it leaves out let the others be seen by themselves. */
export interface Climate {
  readonly weather: Weather;
  /** Per flight to the database. */
  readonly refused: number;
  readonly lostBefore: number;
  readonly lostAfter: number;
  readonly crashAtFlight: number;
  readonly lostSignals: number;
  /** Per second, over the whole cluster. */
  readonly perSecond: Readonly<Record<Incident, number>>;
}

export type Incident =
  | 'crash-server'
  | 'crash-worker'
  | 'crash-client'
  | 'restart-server'
  | 'restart-worker'
  | 'restart-database'
  | 'pause-server'
  | 'pause-worker'
  | 'stutter-worker'
  | 'cut'
  | 'one-way-cut'
  | 'clock-jump';

const INCIDENTS: readonly Incident[] = [
  'crash-server',
  'crash-worker',
  'crash-client',
  'restart-server',
  'restart-worker',
  'restart-database',
  'pause-server',
  'pause-worker',
  'stutter-worker',
  'cut',
  'one-way-cut',
  'clock-jump',
];

const never = Object.fromEntries(INCIDENTS.map((incident) => [incident, 0])) as Record<Incident, number>;

export const calmClimate: Climate = {
  weather: { slow: 0, lost: 0, doubled: 0 },
  refused: 0,
  lostBefore: 0,
  lostAfter: 0,
  crashAtFlight: 0,
  lostSignals: 0,
  perSecond: never,
};

export function drawClimate(dice: Dice): Climate {
  const some = (probability: number, most: number): number => (dice.chance(probability) ? dice.between(0, most) : 0);
  return {
    weather: { slow: some(0.3, 0.05), lost: some(0.3, 0.05), doubled: some(0.3, 0.05) },
    refused: some(0.4, 0.03),
    lostBefore: some(0.4, 0.03),
    lostAfter: some(0.4, 0.03),
    crashAtFlight: some(0.3, 0.004),
    lostSignals: some(0.4, 1),
    perSecond: Object.fromEntries(INCIDENTS.map((incident) => [incident, some(0.4, 0.25)])) as Record<Incident, number>,
  };
}
