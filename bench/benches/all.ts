import { atMost } from '../figures.ts';
import type { Bench } from '../run.ts';
import { chainBench } from './chain.ts';
import { drain } from './drain.ts';
import { failoverLocks } from './failover-locks.ts';
import { failoverMaster } from './failover-master.ts';
import { failoverWorker } from './failover-worker.ts';
import { fanout } from './fanout.ts';
import { firesIdle } from './fires-idle.ts';
import { firesMany } from './fires-many.ts';
import { firesOne } from './fires-one.ts';
import { fixedDelay } from './fixed-delay.ts';
import { floorBench } from './floor.ts';
import { growth } from './growth.ts';
import { latency } from './latency.ts';
import { serial } from './serial.ts';
import { shell } from './shell.ts';
import { stop } from './stop.ts';
import { wf3 } from './wf3.ts';

/** By the names of the command line. */
export const benches: ReadonlyMap<string, Bench> = new Map<string, Bench>([
  ['chain40', chainBench(40, 10, 30, { total: atMost(120), hop: atMost(3) })],
  ['chain10', chainBench(10, 33, 10, {})],
  ['wf3', wf3],
  ['fanout', fanout],
  ['drain', drain],
  ['latency', latency],
  ['shell', shell],
  ['serial', serial],
  ['stop', stop],
  ['growth', growth],
  ['floor', floorBench],
  ['fires-many', firesMany],
  ['fires-one', firesOne],
  ['fires-idle', firesIdle],
  ['fixed-delay', fixedDelay],
  ['failover-master', failoverMaster],
  ['failover-worker', failoverWorker],
  ['failover-locks', failoverLocks],
]);

/** Several benches under one name. */
export const groups: ReadonlyMap<string, readonly string[]> = new Map([
  ['all', [...benches.keys()]],
  ['failover', [...benches.keys()].filter((name) => name.startsWith('failover-'))],
  ['fires', [...benches.keys()].filter((name) => name.startsWith('fires-'))],
]);
