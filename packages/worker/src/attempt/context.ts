import type { ProcessCommand, ProcessEnd, TaskContext, Workspace } from '@keelson/tasks';
import { LauncherDied } from '../launcher/client.ts';
import type { AttemptLog } from '../log/attempt-log.ts';
import type { AttemptState } from './attempt.ts';
import { broadcastEnvironment } from './broadcast-files.ts';
import { taskEnvironment } from './environment.ts';
import { workspacePaths, type WorkspacePlace } from './workspace-places.ts';
import { makeWorkspace } from './workspace.ts';

const MAX_PROGRESS_MESSAGE = 500;

/** What a task type sees of its attempt. Everything costly is made when it is asked for: most processors ask for nothing. */
export function createContext(state: AttemptState): TaskContext {
  const { assignment, host } = state;
  let env: Readonly<Record<string, string>> | undefined;
  let workspace: Promise<Workspace> | undefined;

  const place = (): WorkspacePlace => (state.place ??= host.places.take());
  const attemptLog = (): AttemptLog => (state.attemptLog ??= host.logs.open(assignment.token, assignment.secrets));
  function controller(): AbortController {
    if (state.controller === undefined) {
      state.controller = new AbortController();
      if (state.cause !== undefined) state.controller.abort();
    }
    return state.controller;
  }

  async function prepare(): Promise<Workspace> {
    const made = await makeWorkspace(place(), assignment, host.cache, host.gateway.getBlob, controller().signal);
    state.outputDir = made.outputDir;
    return made;
  }

  async function spawn(command: ProcessCommand): Promise<ProcessEnd> {
    if (state.cause !== undefined) return { kind: 'signalled', signal: 'SIGTERM' };
    const process = host.launcher.run(command, attemptLog());
    state.processes.add(process);
    try {
      return await process.end;
    } catch (error) {
      if (error instanceof LauncherDied) state.launcherDied = true;
      throw error;
    } finally {
      state.processes.delete(process);
    }
  }

  return {
    instanceId: assignment.instanceId,
    task: assignment.task,
    attempt: assignment.attempt,
    input: assignment.input,
    get env() {
      return (env ??= {
        ...taskEnvironment(assignment, workspacePaths(place().root), host.allowedEnv),
        ...broadcastEnvironment(assignment.broadcast, place().root),
      });
    },
    ...(assignment.broadcast === undefined ? {} : { broadcast: assignment.broadcast }),
    get signal() {
      return controller().signal;
    },
    log: {
      write: (chunk) =>
        attemptLog().write(typeof chunk === 'string' || chunk instanceof Uint8Array ? chunk : String(chunk)),
    },
    workspace: () => (workspace ??= prepare()),
    spawn,
    progress(fraction, message) {
      if (Number.isNaN(fraction)) return;
      host.progress(assignment.token, Math.min(1, Math.max(0, fraction)), message?.slice(0, MAX_PROGRESS_MESSAGE));
    },
  };
}
