import type { z } from 'zod';

import type { ValuePath } from '../expression/evaluate.ts';

/** The value at a path; undefined where there is none. */
export function valueAt(root: unknown, path: ValuePath): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      value !== null && typeof value === 'object' && Object.hasOwn(value, key)
        ? (value as Record<string | number, unknown>)[key]
        : undefined,
    root,
  );
}

/** The schemas that apply at a path, through unions, optional and wrapped schemas. */
function schemasAt(schema: z.core.$ZodType, path: ValuePath): z.core.$ZodType[] {
  const [key, ...rest] = path;
  if (key === undefined) return unwrapped(schema);
  return unwrapped(schema).flatMap((option) => {
    const def = (option as z.core.$ZodTypes)._zod.def;
    if (def.type === 'object')
      return Object.hasOwn(def.shape, key) ? schemasAt(def.shape[key] as z.core.$ZodType, rest) : [];
    if (def.type === 'record') return schemasAt(def.valueType, rest);
    return def.type === 'array' ? schemasAt(def.element, rest) : [];
  });
}

/** The keys that the schema knows at a path. */
export function knownKeys(schema: z.core.$ZodType, path: ValuePath): string[] {
  const keys = schemasAt(schema, path).flatMap((option) => {
    const def = (option as z.core.$ZodTypes)._zod.def;
    return def.type === 'object' ? Object.keys(def.shape) : [];
  });
  return [...new Set(keys)];
}

/** The words that may stand at a path, where the schema lists them. */
export function knownWords(schema: z.core.$ZodType, path: ValuePath): string[] {
  return schemasAt(schema, path).flatMap((option) => {
    const def = (option as z.core.$ZodTypes)._zod.def;
    return def.type === 'enum' ? Object.values(def.entries).map(String) : [];
  });
}

function unwrapped(schema: z.core.$ZodType): z.core.$ZodType[] {
  const def = schema._zod.def;
  switch (def.type) {
    case 'union':
      return (schema as z.core.$ZodUnion)._zod.def.options.flatMap(unwrapped);
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'readonly':
    case 'catch':
    case 'nonoptional':
      return unwrapped((schema as z.core.$ZodOptional)._zod.def.innerType);
    case 'pipe':
      return unwrapped((schema as z.core.$ZodPipe)._zod.def.in);
    case 'lazy':
      return unwrapped((schema as z.core.$ZodLazy)._zod.def.getter());
    case 'intersection': {
      const { left, right } = (schema as z.core.$ZodIntersection)._zod.def;
      return [...unwrapped(left), ...unwrapped(right)];
    }
    default:
      return [schema];
  }
}
