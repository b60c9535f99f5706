import { z } from 'zod';

import type { JsonObject } from '../../json.ts';
import type { TaskTypeLike, TaskTypes } from '../task-type-like.ts';

type Fields = Partial<Pick<TaskTypeLike, 'code' | 'secretFields' | 'moduleFields'>>;

function taskType(name: string, input: z.ZodType<JsonObject>, fields: Fields = {}): [string, TaskTypeLike] {
  return [name, { name, input, code: [], secretFields: [], moduleFields: [], capability: () => name, ...fields }];
}

/** Task types that look like the real ones, which live in a package that core does not know. */
export const sampleTaskTypes: TaskTypes = new Map([
  taskType('shell', z.strictObject({ run: z.string(), shell: z.enum(['sh', 'bash']).default('sh') }), {
    code: [{ path: 'run', instead: 'env: { DAY: "${{ params.day }}" }, and in the script "$DAY"' }],
  }),
  taskType('node', z.strictObject({ module: z.string(), args: z.record(z.string(), z.json()).default({}) }), {
    moduleFields: ['module'],
  }),
  taskType(
    'http',
    z.strictObject({
      url: z.string(),
      method: z.enum(['GET', 'POST']).default('GET'),
      headers: z.record(z.string(), z.string()).default({}),
    }),
    { secretFields: ['headers.*'] },
  ),
  taskType(
    'sql',
    z.strictObject({ datasource: z.string(), sql: z.string(), params: z.record(z.string(), z.json()).default({}) }),
    { code: [{ path: 'sql', instead: 'params: { day: "${{ params.day }}" }, and in the SQL :day' }] },
  ),
]);

/** A definition that uses most of the format. */
export const SAMPLE_DEFINITION = `# daily sales
$schema: https://example.org/workflow.json
name: daily-sales
project: demo
title: Sales of the day
labels: { team: sales, tier: 1 }
x-shared: &often { retry: 5 }
timezone: Asia/Shanghai
params:
  day: { type: date, default: "\${{ shift(run.time, '-1d') }}" }
  dryRun: { type: boolean, default: false }
  region: { type: string, enum: [eu, us], default: eu }
files: [extract.sh, "sql/**"]
triggers:
  - cron: "0 30 2 * * ?"
    misfire: fire-once
    params: { region: us }
concurrency: { policy: serial-wait, x-why: the warehouse }
onFailure: end
defaults: { retry: { max: 2, delay: 20s, backoff: exponential }, timeout: 15m, env: { LANG: C } }
tasks:
  extract:
    run: ./extract.sh "$DAY"
    env: { DAY: "\${{ params.day }}", TOKEN: "\${{ secrets.API }}", PORT: 8080 }
  clean: { needs: [extract], uses: node, with: { module: ./clean.ts, args: { rows: "\${{ tasks.extract.outputs.rows }}" } }, <<: *often }
  load:
    needs: [clean]
    if: "!params.dryRun && tasks.extract.outputs.rows > 0"
    uses: sql
    with: { datasource: warehouse, sql: "insert into sales values (:day)", params: { day: "\${{ params.day }}" } }
    delay: 1h30m
    priority: -5
    onTimeout: warn
  notify:
    needs: { load: [succeeded, skipped, failed], clean: succeeded }
    uses: http
    with: { url: "https://example.org/\${{ run.id }}", headers: { Authorization: "\${{ secrets.HOOK }}" } }
    retry: 0
    allowFailure: true
`;
