import type { Assignment, BlobRef } from '@keelson/protocol';
import type { FailureReason, TaskContext, TaskResult, TaskRun } from '@keelson/tasks';
import type { IncarnationGateway } from '../gateway/client.ts';
import { LauncherDied, type LaunchedProcess, type Launcher } from '../launcher/client.ts';
import type { AttemptLog, LogTail } from '../log/attempt-log.ts';
import type { LogShipper } from '../log/shipper.ts';
import type { Clock } from '@keelson/core';
import type { WorkerLog } from '../runtime/worker-log.ts';
import { uploadArtifacts } from './artifacts.ts';
import { AttemptFailure } from './attempt-failure.ts';
import type { BlobCache } from './blob-cache.ts';
import { createContext } from './context.ts';
import { endOf, type AbortCause, type AttemptEndKind } from './end.ts';
import type { WorkspacePlace, WorkspacePlaces } from './workspace-places.ts';

/** How an attempt ended, before it becomes a report. Times by the worker's clock. */
export interface AttemptEnd {
  readonly end: AttemptEndKind;
  readonly reason?: FailureReason;
  /** JSON of an object; absent when there are none. */
  readonly outputsJson?: string;
  readonly artifacts?: readonly BlobRef[];
  readonly endedAt: number;
  readonly log?: LogTail;
}

export interface RunningAttempt {
  readonly assignment: Assignment;
  readonly startedAt: number;
  /** Tells it to end; the first cause counts. Processes get SIGTERM, and SIGKILL after the grace. */
  abort(cause: AbortCause, graceMs: number): void;
  /** Settles when nothing of it runs any more and its directories are gone. */
  readonly over: Promise<void>;
}

/** What an incarnation gives its attempts. */
export interface AttemptHost {
  readonly clock: Clock;
  readonly runs: ReadonlyMap<string, TaskRun>;
  readonly launcher: Launcher;
  readonly gateway: Pick<IncarnationGateway, 'getBlob' | 'putBlob'>;
  readonly cache: BlobCache;
  readonly logs: LogShipper;
  readonly places: WorkspacePlaces;
  readonly allowedEnv: Readonly<Record<string, string>>;
  readonly killGraceMs: number;
  readonly log: WorkerLog;
  progress(token: string, fraction: number, message: string | undefined): void;
}

/** What the parts of one attempt share. */
export interface AttemptState {
  readonly assignment: Assignment;
  readonly host: AttemptHost;
  readonly processes: Set<LaunchedProcess>;
  cause: AbortCause | undefined;
  controller: AbortController | undefined;
  attemptLog: AttemptLog | undefined;
  /** Set once directories, or their paths, were asked for. */
  place: WorkspacePlace | undefined;
  outputDir: string | undefined;
  launcherDied: boolean;
}

function newState(assignment: Assignment, host: AttemptHost): AttemptState {
  const nothing = {
    cause: undefined,
    controller: undefined,
    attemptLog: undefined,
    place: undefined,
    outputDir: undefined,
  };
  return { assignment, host, processes: new Set(), launcherDied: false, ...nothing };
}

/** After the grace, an attempt that runs in this process gets this long before its end is reported without it. */
const DID_NOT_STOP_MS = 500;

/** Runs one attempt. `onEnd` is called once, when everything that must precede its report is done. */
export function runAttempt(
  assignment: Assignment,
  host: AttemptHost,
  onEnd: (end: AttemptEnd) => void,
): RunningAttempt {
  const { clock } = host;
  const startedAt = clock.now();
  const state = newState(assignment, host);
  let ended = false;
  const { timeout } = assignment;
  const cancelTimeout =
    timeout?.action === 'fail' ? clock.after(timeout.afterMs, () => abort('timeout', host.killGraceMs)) : undefined;
  let cancelWatch: (() => void) | undefined;

  function abort(cause: AbortCause, graceMs: number): void {
    if (ended) return;
    const first = state.cause === undefined;
    state.cause ??= cause;
    for (const process of state.processes) process.kill(graceMs);
    if (!first) return;
    state.controller?.abort(new Error(`the attempt is to end: ${cause}`));
    watchStop(graceMs + DID_NOT_STOP_MS);
  }

  function watchStop(ms: number): void {
    cancelWatch = clock.after(ms, () => {
      if (ended) return;
      // A process that survives SIGKILL is in the kernel's hands: its end is not reported before it has come.
      if (state.processes.size > 0) watchStop(ms);
      else {
        host.log('warn', 'a task ignored its abort signal; its end is reported although it still runs', {
          task: assignment.task,
          instance: assignment.instanceId,
        });
        finish(undefined, undefined);
      }
    });
  }

  function finish(result: TaskResult | undefined, artifacts: readonly BlobRef[] | undefined): void {
    if (ended) return;
    ended = true;
    cancelTimeout?.();
    cancelWatch?.();
    const end = {
      ...endOf(state, result),
      ...(artifacts === undefined || artifacts.length === 0 ? {} : { artifacts }),
      endedAt: clock.now(),
    };
    if (state.cause === 'lease-lost') state.attemptLog?.discard();
    const tail = state.attemptLog?.finish();
    const report = (log: LogTail | undefined): void => onEnd(log === undefined ? end : { ...end, log });
    if (tail instanceof Promise) void tail.then(report);
    else report(tail);
  }

  async function execute(): Promise<void> {
    const context = createContext(state);
    const result = await runGuarded(state, () => taskRun(state)(context));
    if (state.processes.size > 0) await endProcesses(state);
    const uploaded = await upload(state, context, result);
    finish(uploaded.result, uploaded.artifacts);
    const trouble = await state.place?.giveBack();
    if (trouble !== undefined) host.log('warn', `an attempt's directory could not be removed: ${trouble}`);
  }

  const over = execute().catch((error: unknown) =>
    host.log('error', `an attempt could not be brought to its end: ${String(error)}`),
  );
  return { assignment, startedAt, abort, over };
}

/** What a successful attempt left in its output directory; a failure of that is the attempt's. */
async function upload(
  state: AttemptState,
  context: TaskContext,
  result: TaskResult,
): Promise<{ readonly result: TaskResult; readonly artifacts?: readonly BlobRef[] }> {
  if (result.outcome === 'failed' || state.cause !== undefined || state.outputDir === undefined) return { result };
  const { clock, gateway } = state.host;
  try {
    return {
      result,
      artifacts: await uploadArtifacts(state.outputDir, gateway.putBlob, clock, context.log, context.signal),
    };
  } catch (error) {
    return { result: { outcome: 'failed', reason: reasonOf(error) } };
  }
}

function taskRun({ assignment, host }: AttemptState): TaskRun {
  const run = host.runs.get(assignment.uses);
  if (run === undefined)
    throw new AttemptFailure(
      'unknown-task-type',
      `this worker does not run tasks of the type ${JSON.stringify(assignment.uses)}`,
    );
  return run;
}

async function runGuarded(state: AttemptState, run: () => Promise<TaskResult>): Promise<TaskResult> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof LauncherDied) state.launcherDied = true;
    return { outcome: 'failed', reason: reasonOf(error) };
  }
}

/** The task type came to its end without its processes; they do not outlive it. */
async function endProcesses(state: AttemptState): Promise<void> {
  for (const process of state.processes) process.kill(0);
  await Promise.allSettled([...state.processes].map((process) => process.end));
}

function reasonOf(error: unknown): FailureReason {
  if (error instanceof AttemptFailure) return error.reason;
  return { code: 'internal', message: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
}
