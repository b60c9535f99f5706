export type { JsonObject, JsonValue } from './json.ts';
export { textProblem } from './json.ts';
export { closest, didYouMean } from './suggest.ts';
export type { Clock } from './clock.ts';
export { sleep, within } from './clock.ts';
export type { Random } from './random.ts';
export { backoffMs } from './random.ts';

export type { Calendar, Exclusion } from './time/calendar.ts';
export { compileCalendar } from './time/calendar.ts';
export { cronProblem, nextCronTime } from './time/cron.ts';
export { describeTrigger } from './time/describe.ts';
export { DURATION_PATTERN, MAX_DURATION_MS, formatDuration, parseDuration } from './time/duration.ts';
export { formatTime } from './time/format.ts';
export { jitterOf, scheduleKeyOf } from './time/jitter.ts';
export type { DueTrigger, FirePlan, NextTime, PlannedTime } from './time/misfire.ts';
export { nextTime, planFires } from './time/misfire.ts';
export type { DateTimes, LeftOutCode, Occurrence } from './time/occurrences.ts';
export { datesOf, exclusionText, occurrences, startOfDate } from './time/occurrences.ts';
export type { PreviewRow, TriggerPreview } from './time/preview.ts';
export { previewTrigger } from './time/preview.ts';
export { shiftTime } from './time/shift.ts';
export type { CompiledTrigger, FireContext } from './time/trigger.ts';
export { compileTrigger, nextFire } from './time/trigger.ts';
export type { LocalDate, ZonedTime } from './time/zoned.ts';
export { parseDate, parseTime, runTimeText, timeZoneName, zonedTime, zonedTimeText } from './time/zoned.ts';

export type { CompiledExpression } from './expression/compile.ts';
export { MAX_EXPRESSION_LENGTH, compileExpression, expressionRefs } from './expression/compile.ts';
export {
  compileCondition,
  evaluateCondition,
  expressionsIn,
  renderTemplate,
  valueText,
} from './expression/evaluate.ts';
export { ExpressionError } from './expression/expression-error.ts';
export type { ExpressionRefs } from './expression/references.ts';
export type { RunContext, Scope } from './expression/scope.ts';
export { RUN_FIELDS, runContext } from './expression/scope.ts';
export { hasExpression } from './expression/template.ts';

export type { BackfillTimes, LeftOutDate, TimesRequest } from './backfill/times.ts';
export { backfillTimes, MAX_BACKFILL_RUNS } from './backfill/times.ts';
export type {
  BackfillCounts,
  BackfillEnd,
  BackfillRun,
  BackfillRunState,
  BackfillState,
  BackfillTurn,
  BackfillView,
  RunParams,
} from './backfill/turn.ts';
export { ALREADY_SUCCEEDED, leftOut, plannedRuns, RUNNING_NOW, turnBackfill } from './backfill/turn.ts';

export { slotsOf } from './definition/concurrency.ts';
export { canonicalJson } from './definition/canonical-json.ts';
export type { DependencyGraph } from './definition/dependency-graph.ts';
export { dependencyCycle, dependentsOf } from './definition/dependency-graph.ts';
export { definitionJsonSchema } from './definition/json-schema.ts';
export type { DefinitionIssue } from './definition/issue.ts';
export type { CalendarResult } from './definition/calendar.ts';
export { calendarFromObject, parseCalendar } from './definition/calendar.ts';
export type { CalendarDay, CalendarDefinition, CalendarEntry } from './definition/model-calendar.ts';
export type {
  AtTrigger,
  BroadcastDefinition,
  BroadcastStep,
  ConcurrencyPolicy,
  ConcurrencyRule,
  CronTrigger,
  DailyInterval,
  DailyIntervalTrigger,
  FailureStrategy,
  FixedDelayTrigger,
  FixedRateTrigger,
  MisfireRule,
  ParamDefinition,
  ParamType,
  RetryPolicy,
  TaskDefinition,
  TriggerDefinition,
  WorkflowDefinition,
} from './definition/model.ts';
export { MAX_DEFINITION_BYTES, MAX_DEPTH, MAX_ISSUES, MAX_TASKS, MAX_VALUES } from './definition/limits.ts';
export { checkParamValue, readParamValue } from './definition/param-value.ts';
export type { ParamIssue, ParamSources } from './definition/params.ts';
export { resolveParams } from './definition/params.ts';
export type { DefinitionResult, ParseOptions } from './definition/parse.ts';
export { definitionFromObject, parseDefinition } from './definition/parse.ts';
export type { DefinitionOptions } from './definition/read-context.ts';
export type { TaskAction, TaskPlan, WorkflowPlan } from './definition/plan.ts';
export { actionsOf, compileWorkflow } from './definition/plan.ts';
export type { TaskTypeLike, TaskTypes } from './definition/task-type-like.ts';

export type {
  BroadcastFacts,
  CommandFacts,
  HeldFacts,
  TaskFacts,
  UnmetNeed,
  WaitFacts,
  WorkerFacts,
} from './engine/why-facts.ts';
export type { TaskExplanation, WaitCode } from './engine/why.ts';
export { explain } from './engine/why.ts';

export type {
  AlertDraft,
  BroadcastChange,
  DelayedTask,
  EarlierAttempt,
  FinishedSubtask,
  FinishedTask,
  HeldTask,
  InstanceChanges,
  QueuedTask,
  SubtaskBinding,
  TakenBack,
} from './engine/changes.ts';
export type { Decision } from './engine/decide.ts';
export { decide, firstDemand } from './engine/decide.ts';
export type { Missing } from './engine/draft.ts';
export type {
  FoldedAttempt,
  FoldedEnd,
  FoldedGeneration,
  FoldedInstance,
  FoldedSubtask,
  FoldedTask,
  HistoryEntry,
  HistoryViolation,
  Versions,
} from './engine/folded.ts';
export { foldHistory } from './engine/fold.ts';
export { REMAINING_REASON } from './engine/folded.ts';
export type { HistoryEvent } from './engine/history.ts';
export type { Operation, OperationAnswer, OperationRefusal } from './engine/operations.ts';
export {
  answerSkip,
  FORCED_SUCCESS,
  OPERATION_TABLE,
  SKIPPED_BY_OPERATOR,
  TASK_OPERATION_TABLE,
  unknownTask,
} from './engine/operations.ts';
export { meetsNeed } from './engine/progress.ts';
export type { Reason } from './engine/reason.ts';
export { DEFAULT_LOSSES, retryDelayMs } from './engine/retry.ts';
export type {
  AttemptEnd,
  AttemptState,
  InstanceEndState,
  InstanceLiveState,
  InstanceState,
  SubtaskEndState,
  TaskEndState,
  TaskState,
} from './engine/states.ts';
export {
  IllegalTransition,
  INSTANCE_END_STATES,
  INSTANCE_TRANSITIONS,
  TASK_END_STATES,
  TASK_TRANSITIONS,
} from './engine/states.ts';
export type {
  ActiveAttempt,
  Artifact,
  AttemptEnded,
  BroadcastRecord,
  EngineEvent,
  GenerationMode,
  InstanceFailure,
  InstanceView,
  LiveInstance,
  PriorEnd,
  SnapshotWorker,
  Subtask,
  TaskPlace,
  TaskRecord,
  WithdrawnTask,
} from './engine/view.ts';
