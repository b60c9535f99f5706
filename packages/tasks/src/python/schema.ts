import { z } from 'zod';
import { authored, rendered, textLike, type FieldRule } from '../input-reading.ts';
import type { TaskType } from '../task-type.ts';

function pythonInput<Stand>(field: FieldRule<Stand>) {
  return z
    .strictObject({
      script: z
        .string()
        .min(1)
        .exactOptional()
        .describe('The program text. Values reach it through `args` or `env`, never through `${{ }}`.'),
      file: z
        .string()
        .min(1)
        .exactOptional()
        .describe('Path of a program among the files of the workflow, relative to the working directory.'),
      args: field(z.array(textLike)).exactOptional().describe('Arguments of the program: `sys.argv[1:]`.'),
      python: z.string().min(1).default('python3').describe('The interpreter: a name to find in PATH, or a path.'),
    })
    .refine((input) => (input.script === undefined) !== (input.file === undefined), {
      message: 'give exactly one of script and file',
    })
    .meta({ oneOf: [{ required: ['script'] }, { required: ['file'] }] });
}

/** What the worker reads from a rendered input. */
export const pythonTask = pythonInput(rendered);

export const pythonType: TaskType = {
  name: 'python',
  summary: 'Runs a Python program in the working directory of the attempt.',
  input: pythonInput(authored),
  code: [{ path: 'script', instead: 'args: ["${{ params.day }}"], and in the script sys.argv[1]' }],
  secretFields: [],
  moduleFields: [],
  capability: () => 'python',
};
