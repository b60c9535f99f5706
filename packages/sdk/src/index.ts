export type {
  ClientOptions,
  InstanceFilter,
  KeelsonClient,
  LogPart,
  LogRange,
  StartOptions,
  Started,
  StreamOptions,
} from './client.ts';
export { KeelsonApiError, KeelsonConnectionError, allItems, createClient } from './client.ts';
export type {
  ConcurrencySource,
  ParamSource,
  RetrySource,
  TaskDefaults,
  TaskSource,
  TriggerSource,
  WorkflowSource,
} from './workflow.ts';
export { workflow } from './workflow.ts';
export type { Processor, ProcessorContext, ProcessorLog } from '@keelson/tasks';
export type { RunWorkerOptions } from './worker.ts';
export { runWorker } from './worker.ts';
