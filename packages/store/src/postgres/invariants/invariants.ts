import type { Invariant } from '../../doctor.ts';
import { BACKFILL_RULES } from './backfill.ts';
import { COUNT_RULES } from './count.ts';
import { DRIVER_RULES } from './driver.ts';
import { GENERATION_RULES } from './generation.ts';
import { HELD_RULES } from './held.ts';
import { INSTANCE_RULES } from './instance.ts';
import { PLACE_RULES } from './place.ts';
import { SCHEDULE_RULES } from './schedule.ts';
import { SLOT_RULES } from './slot.ts';
import { TASK_RULES } from './task.ts';

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
