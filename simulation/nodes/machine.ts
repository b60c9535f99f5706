import type { Assignment } from '@keelson/protocol';
import type { LaunchedProcess } from '../../packages/worker/src/launcher/client.ts';
import type { Deadline } from '../../packages/worker/src/runtime/lease.ts';
import type { ProcessEnd } from '@keelson/tasks';
import type { Life } from '../clock/life.ts';
import type { Run } from '../world/ledger.ts';
import type { World } from '../world/world.ts';
import type { Behaviour } from '../workload/behaviour.ts';

/**
 * The launcher of one worker process, as a process of its own on the same machine: it starts and kills processes, keeps the deadline, and
 * kills everything when the worker's end of the pipe is closed. It is not paused with the worker.
 */
export interface SimulatedLauncher {
  readonly deadline: Deadline;
  launch(assignment: Assignment, behaviour: Behaviour): LaunchedProcess;
  /** A task that runs inside the worker. Answers how to end it. */
  runInside(assignment: Assignment): (how: 'succeeded' | 'failed' | 'killed') => void;
}

const SPAWN_MS = { least: 0.5, most: 6 };
const KILL_MS = { least: 0.1, most: 3 };

export function openLauncher(world: World, life: Life, rate: number): SimulatedLauncher {
  const { timeline, ledger, dice } = world;
  const inside = new Set<Run>();
  const processes = new Set<Run>();
  const soon = ({ least, most }: { least: number; most: number }): number => dice.between(least, most);
  let gone = false;
  let cancelDeadline: (() => void) | undefined;

  const killAll = (): void => {
    for (const run of processes) ledger.end(run, 'killed');
    processes.clear();
  };
  life.onDeath(() => {
    for (const run of inside) ledger.end(run, 'killed');
    cancelDeadline?.();
    timeline.after(soon(KILL_MS), () => {
      gone = true;
      killAll();
    });
  });
  const deadlinePassed = (): void => {
    world.trace.note(life.node, 'the launcher kills everything: the lease is over');
    killAll();
    life.kill();
  };
  const start = (assignment: Assignment): Run => ledger.start(runOf(assignment, life));

  return {
    deadline: {
      now: () => life.clock.now(),
      set: (at) => {
        cancelDeadline?.();
        cancelDeadline =
          at === undefined
            ? undefined
            : timeline.after(Math.max(0, at - life.clock.now()) / rate + soon(KILL_MS), deadlinePassed);
      },
    },
    launch: (assignment, behaviour) =>
      launch(world, life, behaviour, processes, () => (gone ? undefined : start(assignment))),
    runInside: (assignment) => {
      const run = start(assignment);
      inside.add(run);
      return (how) => {
        inside.delete(run);
        ledger.end(run, how);
      };
    },
  };
}

/** @param begin writes the start down, unless the launcher is gone */
function launch(
  { timeline, ledger, dice }: World,
  life: Life,
  behaviour: Behaviour,
  processes: Set<Run>,
  begin: () => Run | undefined,
): LaunchedProcess {
  const soon = ({ least, most }: { least: number; most: number }): number => dice.between(least, most);
  const { promise, resolve } = Promise.withResolvers<ProcessEnd>();
  let run: Run | undefined;
  let ended = false;
  const end = (how: NonNullable<Run['how']>, said: ProcessEnd): void => {
    if (ended) return;
    ended = true;
    if (run !== undefined) {
      processes.delete(run);
      ledger.end(run, how);
    }
    life.deliver(() => resolve(said));
  };
  timeline.after(soon(SPAWN_MS), () => {
    if (ended) return;
    run = begin();
    if (run === undefined) return;
    processes.add(run);
    const exitCode = behaviour.succeeds ? 0 : 1;
    timeline.after(behaviour.durationMs, () => {
      if (run?.how === undefined) end(exitCode === 0 ? 'succeeded' : 'failed', { kind: 'exited', exitCode });
    });
  });
  return {
    end: promise,
    kill: (graceMs) =>
      void timeline.after(Math.min(behaviour.reactionMs, graceMs) + soon(KILL_MS), () =>
        end('killed', { kind: 'signalled', signal: behaviour.reactionMs < graceMs ? 'SIGTERM' : 'SIGKILL' }),
      ),
  };
}

function runOf(
  { token, instanceId, task, fencingToken, broadcast }: Assignment,
  { name }: Life,
): Omit<Run, 'startedAt' | 'endedAt' | 'how'> {
  const incarnationId = token.split('.')[5] ?? '';
  return {
    token,
    instanceId,
    task,
    attemptId: fencingToken,
    incarnationId,
    worker: name,
    subtask: broadcast?.phase === 'subtask',
  };
}
