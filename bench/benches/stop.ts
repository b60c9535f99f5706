import type { Cluster } from '../cluster.ts';
import { figure, neverMoreThan } from '../figures.ts';
import type { Measured } from '../result.ts';
import { withCluster } from '../run.ts';
import type { BenchOptions } from '../run.ts';
import { until } from '../timings.ts';
import { holding, shells } from '../workflows.ts';

const TASKS = 1000;
const WORKERS = 4;
const RUNS = 10;
const SHELLS = 200;
const SHELL_RUNS = 3;
const LOOK_MS = 5;
/** What the project allows; what is stopped here ends at the first asking, so no kill grace comes on top. */
const BAR_MS = 3000;

/** Milliseconds from the call to the committed end, while all tasks of the instance run. */
async function stopOnce({ database, rest }: Cluster, workflow: string, tasks: number): Promise<Stopped> {
  const id = await rest.start(workflow);
  await until(`${tasks} running tasks`, 20, async () => {
    const running = await database.number(`select count(*) from active where instance_id = $1 and state = 'running'`, [
      id,
    ]);
    return running === tasks;
  });
  const began = performance.now();
  await rest.stop(id);
  const answered = performance.now() - began;
  await until(`the end of instance ${id}`, LOOK_MS, async () => {
    const [end] = await database.rows('select state from instance_end where instance_id = $1', [id]);
    if (end !== undefined && end['state'] !== 'stopped')
      throw new Error(`instance ${id} ended ${String(end['state'])}`);
    return end !== undefined;
  });
  const ended = performance.now() - began;
  const stopped = await database.number(
    `select count(*) from finished_task where instance_id = $1 and state = 'stopped'`,
    [id],
  );
  if (stopped !== tasks) throw new Error(`${stopped} instead of ${tasks} tasks of instance ${id} were stopped`);
  return { answered, ended };
}

interface Stopped {
  readonly answered: number;
  readonly ended: number;
}

/** An instance whose 1,000 tasks all run is stopped: functions in the workers; then one of 200 processes. */
export function stop(options: BenchOptions): Promise<Measured> {
  const { tasks = TASKS, repetitions = RUNS } = options;
  const slots = options.slots ?? Math.ceil(tasks / WORKERS);
  return withCluster({ ...options, workers: WORKERS, slots }, async (cluster) => {
    await cluster.rest.publish(holding('held', tasks));
    await cluster.rest.publish(shells('sleeping', SHELLS, 'exec sleep 600'));
    for (const worker of cluster.workers) await worker.join();
    await stopOnce(cluster, 'held', tasks);
    const runs: Stopped[] = [];
    for (let run = 0; run < repetitions; run++) runs.push(await stopOnce(cluster, 'held', tasks));
    const processes: Stopped[] = [];
    for (let run = 0; run < SHELL_RUNS; run++) processes.push(await stopOnce(cluster, 'sleeping', SHELLS));
    return {
      figures: {
        [`stop of ${tasks} running tasks`]: figure(
          'ms',
          runs.map(({ ended }) => ended),
          neverMoreThan(BAR_MS),
        ),
        [`stop of ${SHELLS} running processes`]: figure(
          'ms',
          processes.map(({ ended }) => ended),
          neverMoreThan(BAR_MS),
        ),
        'the call': figure(
          'ms',
          runs.map(({ answered }) => answered),
        ),
      },
      workload: { tasks, repetitions, shells: SHELLS, shellRepetitions: SHELL_RUNS, workers: WORKERS, slots },
    };
  });
}
