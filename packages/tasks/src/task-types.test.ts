import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import type { JsonObject } from '@keelson/core';
import { z } from 'zod';
import { taskRuns } from './task-runs.ts';
import { taskTypes } from './task-types.ts';

const accepts = (type: string, input: JsonObject) => taskTypes.get(type)?.input.safeParse(input).success;
const expression = '${{ params.x }}';

/** Every schema inside a JSON Schema that describes a field of an object. */
function fieldsOf(schema: unknown, path = ''): [path: string, field: Record<string, unknown>][] {
  if (typeof schema !== 'object' || schema === null) return [];
  const properties = Object.entries(
    (schema as { properties?: Record<string, Record<string, unknown>> }).properties ?? {},
  );
  const own = properties.map(([name, field]): [string, Record<string, unknown>] => [`${path}.${name}`, field]);
  return [
    ...own,
    ...Object.entries(schema)
      .filter(([key]) => key !== '$defs')
      .flatMap(([key, value]) => fieldsOf(value, `${path}/${key}`)),
  ];
}

describe('task types', () => {
  it('are the six, each with a run but the processor', () => {
    assert.deepEqual([...taskTypes.keys()], ['shell', 'python', 'node', 'http', 'sql', 'processor']);
    assert.deepEqual([...taskRuns.keys()], ['shell', 'python', 'node', 'http', 'sql']);
  });

  it('describe every field in their JSON Schema', () => {
    for (const type of taskTypes.values()) {
      const schema = z.toJSONSchema(type.input, { io: 'input' });
      const fields = fieldsOf(schema, type.name);
      assert.ok(fields.length > 0);
      for (const [path, field] of fields)
        assert.equal(typeof field['description'], 'string', `${path} has no description`);
    }
  });

  it('name code, secret and module fields that exist', () => {
    for (const { name, input, code, secretFields, moduleFields } of taskTypes.values()) {
      const properties = Object.keys(z.toJSONSchema(input, { io: 'input' }).properties ?? {});
      for (const path of [...code.map((field) => field.path), ...secretFields, ...moduleFields]) {
        assert.ok(properties.includes(path.split('.')[0] ?? ''), `${name} has no field ${path}`);
      }
    }
  });

  it('take expressions where a value of any kind may stand', () => {
    assert.equal(accepts('shell', { run: 'true', shell: expression }), true);
    assert.equal(accepts('python', { file: 'x.py', args: expression }), true);
    assert.equal(accepts('node', { module: './x.ts', args: expression }), true);
    assert.equal(accepts('sql', { datasource: 'd', sql: 'select :a', params: expression }), true);
    const http = {
      url: expression,
      method: expression,
      headers: expression,
      query: expression,
      body: expression,
      expectStatus: expression,
      timeout: expression,
      followRedirects: expression,
    };
    assert.equal(accepts('http', http), true);
    assert.equal(accepts('http', { url: `https://x/${expression}` }), true);
  });

  it('refuse what is neither value nor expression', () => {
    assert.equal(accepts('shell', { run: 'true', shell: 'fish' }), false);
    assert.equal(accepts('shell', { run: '' }), false);
    assert.equal(accepts('shell', { run: 'true', extra: 1 }), false);
    assert.equal(accepts('python', {}), false);
    assert.equal(accepts('node', { module: '../x.ts' }), false);
    assert.equal(accepts('http', { url: 'x' }), false);
    assert.equal(accepts('http', { url: 'https://x/', timeout: 'soon' }), false);
    assert.equal(accepts('processor', { processor: expression }), false);
  });

  it('keep the resolved connection out of the hands of authors', () => {
    const connection = { kind: 'postgresql', host: 'h', port: 1, database: 'd', user: 'u', password: 'p' };
    assert.equal(accepts('sql', { datasource: 'd', sql: 'select 1' }), true);
    assert.equal(accepts('sql', { datasource: 'd', sql: 'select 1', connection }), false);
  });

  it('say which capability a task needs', () => {
    assert.equal(taskTypes.get('processor')?.capability({ processor: 'fibo' }), 'processor:fibo');
    for (const name of taskRuns.keys()) assert.equal(taskTypes.get(name)?.capability({}), name);
  });

  it('load no driver and no Node module of their own', () => {
    const script = `
      const loaded = [];
      (await import('node:module')).registerHooks({ resolve: (name, context, next) => {
        if (context.parentURL?.includes('/tasks/src/')) loaded.push(name);
        return next(name, context);
      } });
      await import(${JSON.stringify(import.meta.resolve('./index.ts'))});
      console.log(JSON.stringify(loaded.filter((name) => !name.startsWith('.'))));`;
    const loaded = JSON.parse(
      execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }),
    ) as string[];
    assert.deepEqual([...new Set(loaded)].toSorted(), ['@keelson/core', 'zod']);
  });
});
