import type { JsonObject } from '@keelson/core';
import { failed } from '../failure.ts';
import { readInput } from '../input-reading.ts';
import { outputProblem } from '../storable-json.ts';
import type { TaskContext, TaskResult, TaskRun } from '../task-type.ts';
import { bindStatements, type BoundStatement } from './bind.ts';
import { SqlError, type OpenConnection, type SqlConnection, type StatementEnd } from './connection.ts';
import { datasourceText, type Datasource } from './datasource.ts';
import { sqlTask } from './schema.ts';
import { textTable } from './table.ts';

/** Binds the values, then runs the statements on a connection of the attempt's own. */
export const run: TaskRun = async (context) => {
  const reading = readInput(sqlTask, context.input);
  if (!reading.ok) return reading.result;
  const { connection: datasource, sql, params = {} } = reading.input;
  const binding = bindStatements([sql].flat(), datasource.kind, params);
  if (!binding.ok) return failed('bad-input', binding.message);
  try {
    return await runOn(context, datasource, binding.statements);
  } catch (error) {
    if (context.signal.aborted) return failed('aborted', 'the statements were broken off because the attempt ends');
    if (!(error instanceof StatementFailure)) throw error;
    const message = withoutPassword(error.message, datasource.password);
    context.log.write(`${message}\n`);
    return failed(error.code, message);
  }
};

class StatementFailure extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

async function runOn(
  context: TaskContext,
  datasource: Datasource,
  statements: readonly BoundStatement[],
): Promise<TaskResult> {
  const connection = await openUnlessAborted(context, datasource);
  let cancelled: Promise<void> | undefined;
  const cancel = () => void (cancelled ??= connection.cancel());
  context.signal.addEventListener('abort', cancel, { once: true });
  try {
    context.signal.throwIfAborted();
    const ends = await runStatements(context, connection, statements);
    return { outcome: 'succeeded', outputs: outputsOf(context, ends) };
  } finally {
    context.signal.removeEventListener('abort', cancel);
    await (cancelled ?? connection.close());
  }
}

/** An attempt that is stopped does not wait for a host that does not answer. */
async function openUnlessAborted(context: TaskContext, datasource: Datasource): Promise<SqlConnection> {
  const { signal } = context;
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  const open = await driver(datasource);
  const opening = open(datasource, `keelson ${context.instanceId}/${context.task}`);
  try {
    return await Promise.race([opening, aborted]);
  } catch (error) {
    void opening.then((late) => late.close()).catch(() => {});
    if (!(error instanceof SqlError)) throw error;
    throw new StatementFailure('sql-connect', `no connection to ${datasourceText(datasource)}: ${error.message}`);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function driver({ kind }: Datasource): Promise<OpenConnection> {
  return kind === 'postgresql'
    ? (await import('./postgresql.ts')).openPostgresql
    : (await import('./mysql.ts')).openMysql;
}

/** Several statements make one transaction. One alone is its own, so that what refuses to run inside one can run. */
async function runStatements(
  context: TaskContext,
  connection: SqlConnection,
  statements: readonly BoundStatement[],
): Promise<StatementEnd[]> {
  const single = statements.length === 1;
  const ends: StatementEnd[] = [];
  if (!single) await step(connection, 'begin', false);
  for (const [index, statement] of statements.entries()) {
    const name = `statement ${index + 1} of ${statements.length}`;
    const end = await step(connection, statement, single, name);
    ends.push(end);
    logEnd(context, name, end);
  }
  if (!single) await step(connection, 'commit', true);
  return ends;
}

/** `decides`: once it is done the changes stay, so that a connection lost in it leaves their fate unknown. */
async function step(
  connection: SqlConnection,
  statement: BoundStatement | string,
  decides: boolean,
  name?: string,
): Promise<StatementEnd> {
  const bound = typeof statement === 'string' ? { text: statement, values: [] } : statement;
  try {
    return await connection.execute(bound);
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    const message = `${name ?? bound.text}: ${error.message}`;
    if (error.refused || !decides) throw new StatementFailure('sql-error', message);
    throw new StatementFailure(
      'sql-unknown',
      `${message}; the connection was lost, and whether the changes took effect is not known`,
    );
  }
}

function logEnd(context: TaskContext, name: string, { columns, rows, rowCount }: StatementEnd): void {
  const count = `${rowCount} ${rowCount === 1 ? 'row' : 'rows'}`;
  const part = rowCount > rows.length && columns !== undefined ? `, the first ${rows.length}` : '';
  context.log.write(`${name}: ${count}${part}\n`);
  if (columns !== undefined && rows.length > 0) context.log.write(textTable(columns, rows));
}

function outputsOf(context: TaskContext, ends: readonly StatementEnd[]): JsonObject {
  const rowCounts = ends.map((end) => end.rowCount);
  const outputs: JsonObject = { rowCount: rowCounts.at(-1) ?? 0, rowCounts, row: null };
  const returning = ends.findLast((end) => end.columns !== undefined);
  const first = returning?.rows[0];
  if (returning?.columns === undefined || first === undefined) return outputs;
  const row = Object.fromEntries(returning.columns.map((column, index) => [column, first[index] ?? null]));
  const problem = outputProblem(row);
  if (problem === undefined) return { ...outputs, row };
  context.log.write(`the output "row" is null: the first row ${problem}\n`);
  return outputs;
}

/** Drivers keep passwords out of their messages; this is for the one that does not. Very short ones would hide all. */
function withoutPassword(message: string, password: string): string {
  return password.length < 3 ? message : message.replaceAll(password, '***');
}
