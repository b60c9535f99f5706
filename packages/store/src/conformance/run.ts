import { test } from 'node:test';
import { ADMISSION } from './admission.ts';
import { BACKFILLS } from './backfills.ts';
import { BROADCASTS } from './broadcasts.ts';
import { FIRES } from './fires.ts';
import { LEASES } from './leases.ts';
import { OPERATION_RACES } from './operation-races.ts';
import { OPERATIONS } from './operations.ts';
import { QUARANTINE } from './quarantine.ts';
import { RACES } from './races.ts';
import { SESSIONS } from './sessions.ts';
import { STARTS } from './starts.ts';
import { STEPS } from './steps.ts';
import type { OpenSubject } from './subject.ts';

/** Everything that the engine relies on, tried on one store. */
export function conformance(open: OpenSubject): void {
  for (const cases of [
    STEPS,
    RACES,
    LEASES,
    STARTS,
    BROADCASTS,
    BACKFILLS,
    ADMISSION,
    FIRES,
    OPERATIONS,
    OPERATION_RACES,
    QUARANTINE,
    SESSIONS,
  ])
    for (const [name, run] of Object.entries(cases)) void test(name, async (t) => run(t, await open(t)));
}
