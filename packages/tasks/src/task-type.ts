import type { JsonObject, JsonValue } from '@keelson/core';
import type { z } from 'zod';

/**
 * What a task type declares, in its `schema.ts` (a dotted path in it covers all that lies below). From it
 * come the published JSON Schema, `keelson lint`, the docs and the worker's last check. It must be importable anywhere: no Node module, no driver.
 */
export interface TaskType {
  readonly name: string;
  /** One sentence for the docs. */
  readonly summary: string;
  /** The shape of `with`, before expressions are evaluated: every field also takes a `${{ }}` string where that makes sense. */
  readonly input: z.ZodType<JsonObject>;
  /** Dotted paths into `with` whose text a shell or an interpreter or a database would execute: `${{ }}` is refused there. */
  readonly code: readonly CodeField[];
  /** Dotted paths into `with` that may use `secrets.*` (`*` for any key); `env` always may. */
  readonly secretFields: readonly string[];
  /** Dotted paths into `with` that name a module to bundle at `apply`. */
  readonly moduleFields: readonly string[];
  /** What a worker must announce to be given such a task; `processor:<name>` for a processor. */
  capability(input: JsonObject): string;
}

export interface CodeField {
  readonly path: string;
  /** The right way to pass a value, shown in the error: `env: { DAY: "${{ params.day }}" }` and then `"$DAY"`. */
  readonly instead: string;
}

/** Why an attempt failed: a stable code, and words for a person. */
export interface FailureReason {
  /** `exit-code`, `signal`, `timeout`, `command-not-found`, `bad-output`, `http-status`, `sql-error`, `bad-input`, … */
  readonly code: string;
  readonly message: string;
  readonly exitCode?: number;
  readonly signal?: string;
}

export type TaskResult =
  | { readonly outcome: 'succeeded'; readonly outputs: Readonly<Record<string, JsonValue>> }
  | { readonly outcome: 'failed'; readonly reason: FailureReason };

/** What a running attempt sees. The worker makes it; a task type's `run.ts` uses it. */
export interface TaskContext {
  readonly instanceId: string;
  readonly task: string;
  readonly attempt: number;
  /** Rendered: every expression evaluated, secrets in place. */
  readonly input: JsonObject;
  /** The task's environment: KEELSON_*, and its own `env`; the allowlist of the worker's own environment is already in it. */
  readonly env: Readonly<Record<string, string>>;
  /** Aborts on stop, timeout, shutdown or a lost lease. `run` must come to its end soon after. */
  readonly signal: AbortSignal;
  readonly log: TaskLog;
  /** Present on the attempts of a broadcast. */
  readonly broadcast?: BroadcastContext;
  /** Makes the attempt's fresh directories (with the version's files, and upstream artifacts) at the first call. */
  workspace(): Promise<Workspace>;
  /** Starts a process in its own group through the worker's launcher. */
  spawn(command: ProcessCommand): Promise<ProcessEnd>;
  /** A processor says how far it is; also a sign of life. `fraction` from 0 to 1. */
  progress(fraction: number, message?: string): void;
}

type SubtaskReason = { readonly [Key in keyof FailureReason]: FailureReason[Key] | undefined };

/** Which part of a broadcast an attempt is. */
export type BroadcastContext =
  | { readonly phase: 'before' }
  | {
      readonly phase: 'subtask';
      /** From 0, and less than `total`. */
      readonly index: number;
      readonly total: number;
      readonly worker: string;
      /** Outputs of the step `before`. */
      readonly before: JsonObject;
    }
  | {
      readonly phase: 'after';
      readonly total: number;
      readonly before: JsonObject;
      /** How every subtask ended, in the order of their indexes. */
      readonly results: readonly {
        readonly worker: string;
        readonly incarnation: string;
        readonly state: 'succeeded' | 'failed' | 'lost' | 'stopped' | 'skipped';
        readonly outputs: JsonObject;
        readonly reason?: SubtaskReason | undefined;
      }[];
    };

export interface Workspace {
  /** The working directory: the version's files lie in it. */
  readonly dir: string;
  readonly inputDir: string;
  readonly outputDir: string;
  /** The `key=value` file that `$KEELSON_OUTPUT` names. */
  readonly outputFile: string;
}

export interface TaskLog {
  /** Raw bytes or text, as the task printed them. Never throws, never blocks. */
  write(chunk: Uint8Array | string): void;
}

export interface ProcessCommand {
  /** argv[0] is looked up in PATH of `env`. No shell is between. */
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** How a process ended. `notStarted` carries the operating system's code (ENOENT, EACCES, …). */
export type ProcessEnd =
  | { readonly kind: 'exited'; readonly exitCode: number }
  | { readonly kind: 'signalled'; readonly signal: string }
  | { readonly kind: 'not-started'; readonly errno: string; readonly message: string };

export type TaskRun = (context: TaskContext) => Promise<TaskResult>;
