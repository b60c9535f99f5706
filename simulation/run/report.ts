import type { SeedResult } from './seed.ts';

/** What a range of seeds came to; ranges add up. */
export interface Tally {
  seeds: number;
  instances: number;
  runs: number;
  events: number;
  simulatedMs: number;
}

export function emptyTally(): Tally {
  return { seeds: 0, instances: 0, runs: 0, events: 0, simulatedMs: 0 };
}

export function addToTally(
  tally: Tally,
  { instances, runs, events, simulatedMs }: Omit<SeedResult, 'seed' | 'hash' | 'violation' | 'lines'>,
): void {
  tally.seeds++;
  tally.instances += instances;
  tally.runs += runs;
  tally.events += events;
  tally.simulatedMs += simulatedMs;
}

const LAST_LINES = 60;

/** Why a seed failed, the last that happened around its instance, and how to see it again. */
export function failureText({ seed, violation, lines }: SeedResult, plant: string | undefined): string {
  if (violation === undefined) return '';
  const { rule, message, instanceId, at } = violation;
  const planted = plant === undefined ? '' : ` --plant ${plant}`;
  const about = instanceId === undefined ? lines : lines.filter((line) => concerns(line, instanceId));
  return [
    `seed ${seed} breaks ${rule}${instanceId === undefined ? '' : ` (instance ${instanceId})`} after ${(at / 1000).toFixed(3)} simulated seconds:`,
    `  ${message}`,
    `the last lines of its trace${instanceId === undefined ? '' : ' about that instance, and every fault'}:`,
    ...about.slice(-LAST_LINES).map((line) => `  ${line}`),
    `again, with all lines: npm run simulate -- --seeds ${seed}..${seed}${planted} --trace`,
  ].join('\n');
}

const FAULT =
  /CRASH|is paused|cut |mended|goes down|clock jumps|dies |loses its connection|launcher kills|VIOLATION| starts$| info | error |warn the lease/;

function concerns(line: string, instanceId: string): boolean {
  return line.includes(`TASK ${instanceId}/`) || line.includes(`instance ${instanceId} `) || FAULT.test(line);
}

export function tallyText({ seeds, instances, runs, events, simulatedMs }: Tally, tookMs: number): string {
  const hours = (simulatedMs / 3_600_000).toFixed(1);
  return `${seeds} seeds clean: ${instances} instances, ${runs} task runs, ${events} events, ${hours} simulated cluster hours in ${(tookMs / 1000).toFixed(0)} s`;
}
