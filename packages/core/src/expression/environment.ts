import { Environment } from '@marcbachmann/cel-js';
import { RE2JS } from 're2js';
import { Temporal } from 'temporal-polyfill';

import { formatTime } from '../time/format.ts';
import { shiftTime } from '../time/shift.ts';
import type { LocalDate, ZonedTime } from '../time/zoned.ts';
import { parseDate, parseTime, zonedTimeText } from '../time/zoned.ts';

export const ROOT_VARIABLES = ['params', 'run', 'tasks', 'secrets'] as const;

/** `receiver.name(…)` calls of the language. `matches` is RE2 here: it takes linear time, whatever the pattern. */
export const METHODS: readonly string[] = [
  'size',
  'contains',
  'startsWith',
  'endsWith',
  'matches',
  'indexOf',
  'lastIndexOf',
  'substring',
  'split',
  'join',
  'trim',
  'lowerAscii',
  'upperAscii',
  'all',
  'exists',
  'exists_one',
  'map',
  'filter',
];

/** `name(…)` calls of the language. */
export const FUNCTIONS: readonly string[] = [
  'shift',
  'fmt',
  'date',
  'time',
  'has',
  'size',
  'string',
  'int',
  'double',
  'bool',
  'dyn',
  'type',
  'matches',
];

/** The methods that walk a collection and bind a name. */
export const COMPREHENSIONS: readonly string[] = ['all', 'exists', 'exists_one', 'map', 'filter'];

/** What `matches` is renamed to in a parsed expression: the library's own is a JavaScript RegExp and cannot be replaced. */
export const SAFE_MATCHES = 'matchesRe2';

/**
 * The zone of the evaluation that is going on. Evaluation is synchronous and does not nest, so one variable serves; the
 * functions of the library get no context of their own.
 */
let activeZone = 'UTC';

/** Runs one synchronous evaluation whose dates and times without a zone belong to `zone`. */
export function withZone<T>(zone: string, evaluate: () => T): T {
  const before = activeZone;
  activeZone = zone;
  try {
    return evaluate();
  } finally {
    activeZone = before;
  }
}

type Moment = Temporal.ZonedDateTime | Temporal.PlainDate;

function momentOf(value: unknown): Moment {
  if (value instanceof Temporal.ZonedDateTime || value instanceof Temporal.PlainDate) return value;
  const text = String(value);
  const moment = parseDate(text) ?? parseTime(text, activeZone);
  if (moment) return moment;
  throw new RangeError(
    `${JSON.stringify(text)} is neither a date (YYYY-MM-DD) nor a time (RFC 3339, such as 2026-01-31T02:30:00+08:00)`,
  );
}

function dateOf(value: unknown): Temporal.PlainDate {
  const moment = momentOf(value);
  return moment instanceof Temporal.ZonedDateTime ? moment.toPlainDate() : moment;
}

function timeOf(value: unknown): Temporal.ZonedDateTime {
  const moment = momentOf(value);
  return moment instanceof Temporal.ZonedDateTime ? moment : moment.toZonedDateTime(activeZone);
}

const patterns = new Map<string, RE2JS>();
const MAX_PATTERNS = 1_000;

function matches(text: string, pattern: string): boolean {
  let compiled = patterns.get(pattern);
  if (!compiled) {
    if (patterns.size >= MAX_PATTERNS) patterns.clear();
    try {
      compiled = RE2JS.compile(pattern);
    } catch (error) {
      throw new RangeError(
        `${JSON.stringify(pattern)} is not a regular expression that RE2 knows: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
    patterns.set(pattern, compiled);
  }
  return compiled.matcher(text).find();
}

function registerTimes(environment: Environment): void {
  environment.registerType('time', { ctor: Temporal.ZonedDateTime, fields: {} });
  environment.registerType('date', { ctor: Temporal.PlainDate, fields: {} });
  const sync = { async: false };
  environment.registerFunction('shift(time, string): time', shiftTime, sync);
  environment.registerFunction('shift(date, string): date', shiftTime, sync);
  environment.registerFunction(
    'shift(string, string): dyn',
    (text: string, amount: string) => shiftTime(momentOf(text), amount),
    sync,
  );
  for (const type of ['time', 'date', 'string']) {
    environment.registerFunction(
      `fmt(${type}, string): string`,
      (moment: unknown, pattern: string) => formatTime(momentOf(moment), pattern),
      sync,
    );
    environment.registerFunction(`date(${type}): date`, dateOf, sync);
    environment.registerFunction(`time(${type}): time`, timeOf, sync);
  }
  environment.registerFunction('string(time): string', zonedTimeText, sync);
  environment.registerFunction('string(date): string', (value: Temporal.PlainDate) => value.toString(), sync);
}

function registerOrder(environment: Environment, type: string, compare: (left: never, right: never) => number): void {
  const ordered = compare as (left: unknown, right: unknown) => number;
  environment.registerOperator(`${type} == ${type}: bool`, (left, right) => ordered(left, right) === 0);
  environment.registerOperator(`${type} < ${type}: bool`, (left, right) => ordered(left, right) < 0);
  environment.registerOperator(`${type} <= ${type}: bool`, (left, right) => ordered(left, right) <= 0);
  environment.registerOperator(`${type} > ${type}: bool`, (left, right) => ordered(left, right) > 0);
  environment.registerOperator(`${type} >= ${type}: bool`, (left, right) => ordered(left, right) >= 0);
}

/** CEL keeps int and double apart; JSON does not, so that a param of 3 times 1.5 must work. */
function registerMixedArithmetic(environment: Environment): void {
  const operations: readonly (readonly [string, (left: number, right: number) => number])[] = [
    ['+', (left, right) => left + right],
    ['-', (left, right) => left - right],
    ['*', (left, right) => left * right],
    ['/', (left, right) => left / right],
  ];
  for (const [operator, operation] of operations) {
    const onNumbers = (left: unknown, right: unknown): number => operation(Number(left), Number(right));
    environment.registerOperator(`int ${operator} double: double`, onNumbers);
    environment.registerOperator(`double ${operator} int: double`, onNumbers);
  }
}

function createEnvironment(): Environment {
  const environment = new Environment({
    homogeneousAggregateLiterals: false,
    limits: { maxAstNodes: 2_000, maxDepth: 60 },
  });
  for (const name of ROOT_VARIABLES) environment.registerVariable(name, 'dyn');
  registerTimes(environment);
  // Two times are equal when they are the same moment, whatever their zones.
  registerOrder(environment, 'time', (left: ZonedTime, right: ZonedTime) =>
    Temporal.Instant.compare(left.toInstant(), right.toInstant()),
  );
  registerOrder(environment, 'date', (left: LocalDate, right: LocalDate) => Temporal.PlainDate.compare(left, right));
  registerMixedArithmetic(environment);
  environment.registerFunction(`string.${SAFE_MATCHES}(string): bool`, matches, { async: false });
  environment.registerFunction(`${SAFE_MATCHES}(string, string): bool`, matches, { async: false });
  return environment;
}

export const environment: Environment = createEnvironment();
