import { httpType } from './http/schema.ts';
import { nodeType } from './node/schema.ts';
import { processorType } from './processor/schema.ts';
import { pythonType } from './python/schema.ts';
import { shellType } from './shell/schema.ts';
import { sqlType } from './sql/schema.ts';
import type { TaskType } from './task-type.ts';

/** Every task type by its name, as `uses` gives it. */
export const taskTypes: ReadonlyMap<string, TaskType> = new Map(
  [shellType, pythonType, nodeType, httpType, sqlType, processorType].map((type) => [type.name, type]),
);
