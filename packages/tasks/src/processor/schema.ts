import { z } from 'zod';
import type { TaskType } from '../task-type.ts';

export const processorType: TaskType = {
  name: 'processor',
  summary: "Calls a function that one of your own workers registered under this name, inside the worker's process.",
  input: z.strictObject({
    processor: z
      .string()
      .regex(/^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$/, 'must be a name of letters, digits and _ . : / -')
      .max(128)
      .describe('The name under which a worker registered the function.'),
    args: z.json().exactOptional().describe('Any value; the function gets it as `args`.'),
  }),
  code: [],
  secretFields: [],
  moduleFields: [],
  capability: (input) => `processor:${typeof input['processor'] === 'string' ? input['processor'] : ''}`,
};
