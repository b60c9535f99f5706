import type { Assignment, RegisterRequest } from '@keelson/protocol';
import type { TaskContext, TaskResult, TaskRun } from '@keelson/tasks';
import { runAttempt } from '../../packages/worker/src/attempt/attempt.ts';
import type { AttemptHost } from '../../packages/worker/src/attempt/attempt.ts';
import type { House } from '../../packages/worker/src/runtime/house.ts';
import { createWorkerIn } from '../../packages/worker/src/runtime/worker.ts';
import type { Worker } from '../../packages/worker/src/runtime/worker.ts';
import type { Life } from '../clock/life.ts';
import { tracedWorkerLog } from '../network/silent-log.ts';
import { simulatedGateway } from '../network/worker-gateway.ts';
import { behaviourOf } from '../workload/behaviour.ts';
import type { Behaviour } from '../workload/behaviour.ts';
import { PROCESSOR } from '../workload/workflows.ts';
import { JOIN_TOKEN } from '../world/world.ts';
import type { World } from '../world/world.ts';
import { openLauncher } from './machine.ts';
import type { SimulatedLauncher } from './machine.ts';
import type { Node } from './node.ts';

export interface WorkerSetup {
  readonly slots: number;
  readonly killGraceMs: number;
}

/** A machine with a worker, which is started again after its death. The worker is the real one, down to its attempts. */
export function openWorkerNode(world: World, name: string, { slots, killGraceMs }: WorkerSetup): Node {
  let running: { readonly life: Life; readonly worker: Worker } | undefined;

  const boot = (): void => {
    const life = world.beginLife(name);
    const launcher = openLauncher(world, life, world.rateOf(name));
    const log = tracedWorkerLog(world.trace, life.name);
    const { clock, dice } = life;
    const worker = createWorkerIn({
      clock,
      random: dice,
      log,
      token: JOIN_TOKEN,
      registration: registrationOf(name, slots),
      killGraceMs,
      pollWaitMs: 30_000,
      openHouse: async (): Promise<House> => ({
        gateway: simulatedGateway(world.timeline, world.network, life, world.servers),
        deadline: launcher.deadline,
        runner:
          (gateway) =>
          (assignment, { progress, ended }) => {
            const host = {
              clock,
              gateway,
              killGraceMs,
              log,
              progress,
              allowedEnv: {},
              ...stageOf(world, life, launcher, assignment),
            };
            return runAttempt(assignment, host, ended);
          },
        close: async () => undefined,
      }),
    });
    running = { life, worker };
    // Also when the launcher ends it: who started it sees that it is gone.
    life.onDeath(() => {
      if (running?.life === life) running = undefined;
      world.gone(node);
    });
    // A refused registration ends the process.
    void worker.start().catch(() => life.kill());
  };

  const node: Node = {
    name,
    boot,
    life: () => running?.life,
    crash: (why) => {
      if (running === undefined) return;
      world.trace.note(name, `CRASH ${why}`);
      running.life.kill();
    },
    leave: async () => {
      const leaving = running;
      if (leaving === undefined) return;
      await leaving.worker.drain(2000);
      leaving.life.kill();
    },
  };
  return node;
}

function registrationOf(name: string, slots: number): RegisterRequest {
  return {
    protocol: 1,
    name,
    group: 'default',
    slots,
    capabilities: ['shell', `processor:${PROCESSOR}`],
    host: name,
    pid: 1,
    version: '0',
  };
}

type Stage = Pick<AttemptHost, 'runs' | 'launcher' | 'logs' | 'cache' | 'places'>;

/** What stands in for processes, directories and logs of one attempt. */
function stageOf(world: World, life: Life, launcher: SimulatedLauncher, assignment: Assignment): Stage {
  const { instanceId, task, attempt } = assignment;
  const behaviour = behaviourOf(world.seed, instanceId, task, attempt, world.moods);
  const log = { write: () => undefined, gap: () => undefined, finish: () => undefined, discard: () => undefined };
  const stage = {
    runs: new Map<string, TaskRun>([
      ['shell', (context) => inProcess(context, behaviour)],
      ['processor', (context) => inWorker(context, behaviour, life, launcher, assignment)],
    ]),
    launcher: {
      pid: 1,
      run: () => launcher.launch(assignment, behaviour),
      setDeadline: () => undefined,
      close: async () => undefined,
    },
    logs: { open: () => log },
    cache: undefined,
    places: undefined,
  };
  return stage as unknown as Stage;
}

async function inProcess(context: TaskContext, behaviour: Behaviour): Promise<TaskResult> {
  const end = await context.spawn({ argv: ['task'], cwd: '/', env: {} });
  return resultOf(end.kind === 'exited' && end.exitCode === 0, behaviour);
}

/** It ends when its time is over, or some time after its signal aborts. */
function inWorker(
  { signal }: TaskContext,
  behaviour: Behaviour,
  { clock }: Life,
  launcher: SimulatedLauncher,
  assignment: Assignment,
): Promise<TaskResult> {
  const end = launcher.runInside(assignment);
  return new Promise((resolve) => {
    const cancel = clock.after(behaviour.durationMs, () => {
      end(behaviour.succeeds ? 'succeeded' : 'failed');
      resolve(resultOf(behaviour.succeeds, behaviour));
    });
    const aborted = (): void => {
      cancel();
      // A processor that keeps to the rules is done within the grace.
      clock.after(Math.min(behaviour.reactionMs, 200), () => {
        end('killed');
        resolve(resultOf(false, behaviour));
      });
    };
    if (signal.aborted) aborted();
    else signal.addEventListener('abort', aborted);
  });
}

function resultOf(succeeded: boolean, { outputs }: Behaviour): TaskResult {
  return succeeded
    ? { outcome: 'succeeded', outputs: { ...outputs } }
    : { outcome: 'failed', reason: { code: 'exit-code', message: 'it failed', exitCode: 1 } };
}
