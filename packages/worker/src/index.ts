export { createWorker, RegistrationRefused, type Worker } from './runtime/worker.ts';
export type { WorkerOptions } from './runtime/options.ts';
export type { WorkerEventMap, WorkerEvents } from './runtime/events.ts';
export { stderrLog, type LogLevel, type WorkerLog } from './runtime/worker-log.ts';
export { DataDirInUse } from './data-dir/lock.ts';
export { DEFAULT_OUTPUT_LIMITS, type OutputLimits } from './log/output-limit.ts';
export { DEFAULT_ENV_ALLOWLIST } from './attempt/environment.ts';
