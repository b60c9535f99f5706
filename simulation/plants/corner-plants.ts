import type { Plant } from './plant.ts';

const SERVER = 'packages/server/src/master';
const STORE = 'packages/store/src/postgres';

/** A plant with one patch, and the test on a real PostgreSQL that must fail with it. */
interface Corner extends Omit<Plant, 'patches' | 'runsOn'> {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly caughtBy: TestName;
}

/** A test file, from the root of the repository, and one of its tests. */
export interface TestName {
  readonly file: string;
  readonly test: string;
}

/** Rules about connections, locks and callers: what the simulation has no model of. */
const CORNERS: readonly Corner[] = [
  {
    name: 'cut-reader-keeps-its-locks',
    breaks: 'a master that stops in the middle of a large read holds its row locks for as long as it likes',
    file: `${STORE}/connection/connection.ts`,
    find: "  tcp_user_timeout: '3000',\n",
    replace: '',
    caughtBy: {
      file: `${STORE}/connection/locks.race.test.ts`,
      test: 'row locks of a process that is cut off without a word are freed: reading',
    },
  },
  {
    name: 'listener-never-asked',
    breaks: 'a listening connection that was cut without a word is believed to be there',
    file: `${STORE}/connection/heartbeat.ts`,
    find: "await client.query('select');",
    replace: '',
    caughtBy: {
      file: `${STORE}/connection/cut.race.test.ts`,
      test: 'a listener that was cut without a word notices it, listens anew and looks at everything again',
    },
  },
  {
    name: 'binding-without-the-incarnation',
    breaks:
      'a claim binds to a worker without locking its incarnation: what a leave or an expiry reads meanwhile misses it',
    file: `${STORE}/engine/claim.ts`,
    find: "and state = 'live' and lease_until > clock_timestamp() for key share",
    replace: "and state = 'live' and lease_until > clock_timestamp()",
    caughtBy: {
      file: 'packages/store/src/conformance/conformance.postgres.test.ts',
      test: 'an expiry passes by an incarnation that somebody binds to, and a renewal does not wait for that',
    },
  },
  {
    name: 'log-token-not-compared',
    breaks: 'a worker may write into the log of any attempt whose number it guesses',
    file: `${SERVER}/gateway/own-log.ts`,
    find: '  if (!isOwn) return undefined;',
    replace: '',
    caughtBy: {
      file: `${SERVER}/gateway/bad-input.test.ts`,
      test: 'a log: only under a token of its own, within bounds, and still when its attempt has ended',
    },
  },
  {
    name: 'start-acknowledged-unstored',
    breaks: 'a worker forgets the start of a task that no database knows, and its timeout never begins',
    file: `${SERVER}/gateway/report.ts`,
    find: '  await started.note({',
    replace: '  void started.note({',
    caughtBy: {
      file: `${SERVER}/gateway/bad-input.test.ts`,
      test: 'a start is acknowledged when it is stored, and not before',
    },
  },
  {
    name: 'ends-without-bound',
    breaks: 'one worker may have any number of reports under way, before those of all others',
    file: `${SERVER}/gateway/bounds.ts`,
    find: 'if (use.ends > 0 && use.ends + ends > 2 * session.incarnation.slots + BOUNDS.spareEnds)',
    replace: 'if (use.ends < 0)',
    caughtBy: {
      file: `${SERVER}/gateway/bounds.test.ts`,
      test: 'ends that are not settled yet: as many as a worker can have, and one report more',
    },
  },
  {
    name: 'slow-step-never-halved',
    breaks: 'a batch of reports that does not end in time is tried again as it is, for ever',
    file: `${SERVER}/report-step.ts`,
    find: 'if (batch.length > 1) return inHalves(desk, batch, error);',
    replace: '',
    caughtBy: {
      file: `${SERVER}/report-step.test.ts`,
      test: 'a step that does not end in time goes in halves; the one that never does becomes a command',
    },
  },
];

export const CORNER_PLANTS: readonly Plant[] = CORNERS.map(({ name, breaks, file, find, replace }) => ({
  name,
  breaks,
  runsOn: 'postgres',
  patches: [{ file, find, replace }],
}));

/** Plant → the test that must fail with it. */
export const CORNER_TESTS: Readonly<Record<string, TestName>> = Object.fromEntries(
  CORNERS.map(({ name, caughtBy }) => [name, caughtBy]),
);
