import { clockJump } from './clock-jump.ts';
import { cutDatabase, cutDatabaseOneWay, cutWorker, cutWorkerOneWay, resetDatabase } from './cut.ts';
import { fullBlobDisk, fullWorkerDisk } from './full-disk.ts';
import { killApi, killMaster, killWorker } from './kill.ts';
import { namespaceCut } from './namespace-cut.ts';
import type { Nemesis } from './nemesis.ts';
import { pauseMaster, pauseWorker } from './pause.ts';
import { pausePostgres, restartPostgres } from './postgres.ts';
import { rollingRestart } from './rolling-restart.ts';
import { lockStorm, terminateBackends } from './storms.ts';

/** Every fault there is, each by itself; `several` in a campaign puts two or three of them on the cluster at once. */
export const NEMESES: readonly Nemesis[] = [
  killMaster,
  killWorker,
  killApi,
  pauseMaster,
  pauseWorker,
  cutDatabase,
  cutDatabaseOneWay,
  resetDatabase,
  cutWorker,
  cutWorkerOneWay,
  namespaceCut,
  restartPostgres,
  pausePostgres,
  lockStorm,
  terminateBackends,
  fullWorkerDisk,
  fullBlobDisk,
  clockJump,
  rollingRestart,
];

export const SEVERAL = 'several';
