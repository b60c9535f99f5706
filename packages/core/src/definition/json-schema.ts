import { z } from 'zod';

import { isStructured, TRIGGER_KINDS, workflowSchema } from './file-schema.ts';
import type { TaskTypes } from './task-type-like.ts';

type JsonSchema = Record<string, unknown>;

const TARGET = { target: 'draft-2020-12', io: 'input', unrepresentable: 'any' } as const;

/** JSON Schema 2020-12 of a definition file, for editors: the same schemas that `parseDefinition` reads by, with each task type's `with`. */
export function definitionJsonSchema(taskTypes: TaskTypes): JsonSchema {
  const schema = z.toJSONSchema(workflowSchema, {
    ...TARGET,
    override: ({ zodSchema, jsonSchema }) => {
      if (isStructured(zodSchema)) jsonSchema.patternProperties = { '^x-': {} };
    },
  }) as JsonSchema;
  const trigger = descend(schema, ['properties', 'triggers', 'items']);
  trigger.oneOf = TRIGGER_KINDS.map((kind) => ({ required: [kind] }));
  const task = descend(schema, ['properties', 'tasks', 'additionalProperties']);
  const steps = ['before', 'after'].map((step) =>
    descend(task, ['properties', 'broadcast', 'properties', step, 'properties', 'uses']),
  );
  for (const uses of [descend(task, ['properties', 'uses']), ...steps]) uses.enum = [...taskTypes.keys()];
  task.oneOf = [{ required: ['run'] }, { required: ['uses'] }];
  task.allOf = [...taskTypes.values()].map(({ name }) => ({
    if: { properties: { uses: { const: name } }, required: ['uses'] },
    // oxlint-disable-next-line unicorn/no-thenable -- the keyword of JSON Schema
    then: { properties: { with: { $ref: `#/$defs/with-${name}` } } },
  }));
  const inputs = [...taskTypes.values()].map(({ name, input, summary }): [string, JsonSchema] => {
    const { $schema: _own, ...inputSchema } = z.toJSONSchema(input, TARGET) as JsonSchema;
    return [
      `with-${name}`,
      { ...(summary !== undefined && { description: summary }), ...rebased(inputSchema, `with-${name}`) },
    ];
  });
  return {
    ...schema,
    title: 'Keelson workflow definition',
    $defs: { ...(schema.$defs as JsonSchema | undefined), ...Object.fromEntries(inputs) },
  };
}

function descend(schema: JsonSchema, path: readonly string[]): JsonSchema {
  return path.reduce<JsonSchema>((inner, key) => inner[key] as JsonSchema, schema);
}

/** References inside a task type's own schema, moved to where that schema now stands. */
function rebased(schema: JsonSchema, name: string): JsonSchema {
  return JSON.parse(
    JSON.stringify(schema, (key, value: unknown) =>
      key === '$ref' && typeof value === 'string' && value.startsWith('#') ? `#/$defs/${name}${value.slice(1)}` : value,
    ),
  ) as JsonSchema;
}
