/** Runs `sql` tasks in tests, on a datasource of the test. */
import assert from 'node:assert/strict';
import type { JsonObject } from '@keelson/core';
import type { Datasource } from '../sql/datasource.ts';
import { run } from '../sql/run.ts';
import type { FailureReason } from '../task-type.ts';
import { testContext, type TestContextOptions } from './context.ts';

export function sqlRunner(datasource: () => Datasource) {
  const attempt = async (sql: string | string[], params?: JsonObject, options?: TestContextOptions) => {
    const input = { datasource: 'test', sql, ...(params !== undefined && { params }), connection: { ...datasource() } };
    const test = testContext(input, options);
    return { result: await run(test.context), log: test.log() };
  };
  const outputs = async (sql: string | string[], params?: JsonObject): Promise<JsonObject> => {
    const { result } = await attempt(sql, params);
    assert.ok(result.outcome === 'succeeded', JSON.stringify(result));
    return result.outputs;
  };
  const failure = async (
    sql: string | string[],
    params?: JsonObject,
    options?: TestContextOptions,
  ): Promise<FailureReason> => {
    const { result } = await attempt(sql, params, options);
    assert.ok(result.outcome === 'failed', 'expected a failure');
    return result.reason;
  };
  return {
    attempt,
    outputs,
    failure,
    row: async (sql: string, params?: JsonObject) => (await outputs(sql, params))['row'],
  };
}
