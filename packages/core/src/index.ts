export type { JsonObject, JsonValue } from './json.ts';
export { closest, didYouMean } from './suggest.ts';

export { DURATION_PATTERN, MAX_DURATION_MS, formatDuration, parseDuration } from './time/duration.ts';
export { formatTime } from './time/format.ts';
export { shiftTime } from './time/shift.ts';
export type { LocalDate, ZonedTime } from './time/zoned.ts';
export { parseDate, parseTime, runTimeText, timeZoneName, zonedTime, zonedTimeText } from './time/zoned.ts';

export type { CompiledExpression } from './expression/compile.ts';
export { MAX_EXPRESSION_LENGTH, compileExpression, expressionRefs } from './expression/compile.ts';
export { compileCondition, evaluateCondition, expressionsIn, renderTemplate, valueText } from './expression/evaluate.ts';
export { ExpressionError } from './expression/expression-error.ts';
export type { ExpressionRefs } from './expression/references.ts';
export type { RunContext, Scope } from './expression/scope.ts';
export { RUN_FIELDS, runContext } from './expression/scope.ts';
export { hasExpression } from './expression/template.ts';

export type { DefinitionIssue } from './definition/issue.ts';
export type {
  ConcurrencyPolicy, FailureStrategy, ParamDefinition, ParamType, RetryPolicy, TaskDefinition, TriggerDefinition, WorkflowDefinition,
} from './definition/model.ts';
export type { TaskPlan, WorkflowPlan } from './definition/plan.ts';
export { compileWorkflow } from './definition/plan.ts';
