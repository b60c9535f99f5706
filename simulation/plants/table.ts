import { CALENDAR_PLANTS } from './calendar-plants.ts';
import { CLUSTER_PLANTS } from './cluster-plants.ts';
import { CORNER_PLANTS } from './corner-plants.ts';
import type { Plant } from './plant.ts';
import { SCENARIO_PLANTS } from './scenario-plants.ts';

/** Every planted bug, by groups; a name is there once. */
export const PLANTS: readonly Plant[] = [...CLUSTER_PLANTS, ...CALENDAR_PLANTS, ...CORNER_PLANTS, ...SCENARIO_PLANTS];
