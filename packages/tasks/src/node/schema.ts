import { z } from 'zod';
import { authored, holdsExpression, rendered, type FieldRule } from '../input-reading.ts';
import type { TaskType } from '../task-type.ts';

const BUNDLE_FOLDER = '.keelson/modules';
const MODULE_FILE = /\.[cm]?[jt]s$/;

/**
 * Where the bundle of a module lies among a version's files. `apply` puts it there and the worker looks for it there.
 * No two modules share a path: `/` becomes `~1` and `~` becomes `~0`, as in a JSON pointer.
 */
export function bundledModulePath(modulePath: string): string {
  const steps = modulePath.split('/').filter((step) => step !== '' && step !== '.');
  const name = steps.map((step) => step.replaceAll('~', '~0')).join('~1');
  return `${BUNDLE_FOLDER}/${name}.mjs`;
}

const modulePath = z
  .string()
  // That a module takes no expression is said once, by the check of `moduleFields`.
  .refine(
    (path) => holdsExpression(path) || MODULE_FILE.test(path),
    'must be a .ts or .js file (or .mts, .cts, .mjs, .cjs)',
  )
  .refine((path) => !path.startsWith('/') && !path.split('/').includes('..'), {
    message: 'must be relative to the definition file and lead nowhere above it',
  });

function nodeInput<Stand>(field: FieldRule<Stand>) {
  return z
    .strictObject({
      module: modulePath
        .exactOptional()
        .describe(
          'Path of a TypeScript or JavaScript module, relative to the definition file. `apply` bundles it with its imports. Its default export gets `{ args, inputDir, outputDir, log, signal }` and returns the outputs.',
        ),
      script: z
        .string()
        .min(1)
        .exactOptional()
        .describe(
          'The text of an ES module (JavaScript). A default export, if there is one, is called as that of a `module`.',
        ),
      args: field(z.record(z.string(), z.json()))
        .exactOptional()
        .describe('Any values; the function gets them as `args`.'),
    })
    .refine((input) => (input.module === undefined) !== (input.script === undefined), {
      message: 'give exactly one of module and script',
    })
    .meta({ oneOf: [{ required: ['module'] }, { required: ['script'] }] });
}

/** What the worker reads from a rendered input. */
export const nodeTask = nodeInput(rendered);

export const nodeType: TaskType = {
  name: 'node',
  summary: 'Runs a TypeScript or JavaScript module in a Node process of its own.',
  input: nodeInput(authored),
  code: [
    {
      path: 'script',
      instead: 'args: { day: "${{ params.day }}" }, and in the script export default ({ args }) => … args.day',
    },
  ],
  secretFields: [],
  moduleFields: ['module'],
  capability: () => 'node',
};
