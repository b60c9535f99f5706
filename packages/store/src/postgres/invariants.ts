import type { Invariant } from '../doctor.ts';
import { BACKFILL_RULES } from './invariants-backfill.ts';
import { COUNT_RULES } from './invariants-count.ts';
import { DRIVER_RULES } from './invariants-driver.ts';
import { GENERATION_RULES } from './invariants-generation.ts';
import { HELD_RULES } from './invariants-held.ts';
import { INSTANCE_RULES } from './invariants-instance.ts';
import { PLACE_RULES } from './invariants-place.ts';
import { SCHEDULE_RULES } from './invariants-schedule.ts';
import { SLOT_RULES } from './invariants-slot.ts';
import { TASK_RULES } from './invariants-task.ts';

/**
 * The one list of rules, for the doctor and for the sweeper. Their order is that of repair: first where an instance is, then what belongs to
 * it, then what is counted, last what drives it.
 */
export const INVARIANTS: readonly Invariant[] = [
  ...INSTANCE_RULES,
  ...GENERATION_RULES,
  ...PLACE_RULES,
  ...HELD_RULES,
  ...COUNT_RULES,
  ...TASK_RULES,
  ...SLOT_RULES,
  ...SCHEDULE_RULES,
  ...BACKFILL_RULES,
  ...DRIVER_RULES,
];
