import { z } from 'zod';
import { authored, rendered, type FieldRule } from '../input-reading.ts';
import type { TaskType } from '../task-type.ts';
import { datasourceSchema } from './datasource.ts';

const statement = z
  .string()
  .regex(/\S/, 'must not be empty')
  // Drivers end a statement at a NUL and would run the half before it.
  .refine((text) => !text.includes('\0'), 'must hold no NUL character');

function sqlInput<Stand>(field: FieldRule<Stand>) {
  return z.strictObject({
    datasource: z.string().min(1).describe('Name of a datasource of the project.'),
    sql: z
      .union([statement, z.array(statement).min(1).max(1000)])
      .describe(
        'One statement, or a list of statements that run in one transaction. Values reach it as `:name`, never through `${{ }}`.',
      ),
    params: field(z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.json()))
      .exactOptional()
      .describe(
        'The value of each `:name`. A list becomes an array in PostgreSQL (`= any(:ids)`), and JSON in MySQL or before `::jsonb`.',
      ),
  });
}

/** What the worker reads from a rendered input: the server has put the resolved datasource beside the author's fields. */
export const sqlTask = sqlInput(rendered).extend({ connection: datasourceSchema });

export const sqlType: TaskType = {
  name: 'sql',
  summary: 'Runs SQL statements on a PostgreSQL, MySQL or MariaDB datasource.',
  input: sqlInput(authored),
  code: [{ path: 'sql', instead: 'params: { day: "${{ params.day }}" }, and in the SQL :day' }],
  secretFields: [],
  moduleFields: [],
  capability: () => 'sql',
};
