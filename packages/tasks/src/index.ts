export type {
  BroadcastContext,
  CodeField,
  FailureReason,
  ProcessCommand,
  ProcessEnd,
  TaskContext,
  TaskLog,
  TaskResult,
  TaskRun,
  TaskType,
  Workspace,
} from './task-type.ts';
export { taskTypes } from './task-types.ts';
export { MAX_OUTPUT_BYTES, outputProblem } from './storable-json.ts';

export { bundledModulePath } from './node/schema.ts';
export type { Processor, ProcessorContext, ProcessorLog } from './processor/processor.ts';
export type { Datasource, DatasourceReading } from './sql/datasource.ts';
export { datasourceSchema, datasourceText, parseDatasourceUrl } from './sql/datasource.ts';
