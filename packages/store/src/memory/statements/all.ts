import { ADMISSION } from './admission.ts';
import { BACKFILLS } from './backfills.ts';
import { BROADCASTS } from './broadcasts.ts';
import { CLAIM } from './claim.ts';
import { CONCURRENCY } from './concurrency.ts';
import type { Emulation, Emulations } from './emulation.ts';
import { FIRES } from './fires.ts';
import { OPERATIONS } from './operations.ts';
import { QUARANTINE } from './quarantine.ts';
import { STARTS } from './starts.ts';
import { STEP_HELD } from './step-held.ts';
import { STEP_LINE } from './step-line.ts';
import { STEP_READ } from './step-read.ts';
import { STEP_WRITE } from './step-write.ts';
import { SWEEP } from './sweep.ts';
import { TIMERS } from './timers.ts';
import { WORKERS } from './workers.ts';

const ALL: Emulations = {
  ...STEP_READ,
  ...STEP_WRITE,
  ...STEP_LINE,
  ...STEP_HELD,
  ...BROADCASTS,
  ...BACKFILLS,
  ...CLAIM,
  ...STARTS,
  ...OPERATIONS,
  ...ADMISSION,
  ...CONCURRENCY,
  ...WORKERS,
  ...TIMERS,
  ...FIRES,
  ...QUARANTINE,
  ...SWEEP,
};

/** Names of the statements that the memory knows. */
export const emulated: ReadonlySet<string> = new Set(Object.keys(ALL));

/**
 * What the statement of this name does.
 *
 * @throws when nobody has written that down: a statement that is new in postgres/ needs an emulation here
 */
export function emulationOf(name: string): Emulation {
  const emulation = Object.hasOwn(ALL, name) ? ALL[name] : undefined;
  if (emulation === undefined) throw new Error(`the statement ${name} has no emulation in memory/statements/`);
  return emulation;
}
