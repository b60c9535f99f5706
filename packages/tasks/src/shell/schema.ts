import { z } from 'zod';
import { authored, rendered, type FieldRule } from '../input-reading.ts';
import type { TaskType } from '../task-type.ts';

function shellInput<Stand>(field: FieldRule<Stand>) {
  return z.strictObject({
    run: z
      .string()
      .min(1)
      .describe(
        'The script. It stops at the first command that fails. Values reach it through `env`, never through `${{ }}`.',
      ),
    shell: field(z.enum(['sh', 'bash']))
      .default('sh')
      .describe(
        '`sh` runs the script with `sh -e`; `bash` with `bash -eo pipefail`, so that a failing part of a pipe fails it too.',
      ),
  });
}

/** What the worker reads from a rendered input. */
export const shellTask = shellInput(rendered);

export const shellType: TaskType = {
  name: 'shell',
  summary: 'Runs a shell script in the working directory of the attempt.',
  input: shellInput(authored),
  code: [{ path: 'run', instead: 'env: { DAY: "${{ params.day }}" }, and in the script "$DAY"' }],
  secretFields: [],
  moduleFields: [],
  capability: () => 'shell',
};
