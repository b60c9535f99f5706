import type { JsonObject, JsonValue } from '@keelson/core';
import type { BroadcastContext, TaskLog } from '../task-type.ts';

/**
 * A function of a user's own worker. What it returns are the outputs of the task; what it throws fails the attempt. It
 * should end soon after `signal` aborts: nothing can end it from outside but the end of the whole worker.
 */
export type Processor = (context: ProcessorContext) => Promise<JsonObject | void> | JsonObject | void;

export interface ProcessorContext {
  readonly args: JsonValue;
  readonly instanceId: string;
  readonly task: string;
  readonly attempt: number;
  /** Present on the attempts of a broadcast: which part of it this is, and what is known of the others. */
  readonly broadcast?: BroadcastContext;
  /** Aborts on stop, timeout, shutdown or a lost lease. */
  readonly signal: AbortSignal;
  readonly log: ProcessorLog;
  /** How far it is, from 0 to 1; also a sign of life. */
  readonly progress: (fraction: number, message?: string) => void;
}

export interface ProcessorLog extends TaskLog {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
