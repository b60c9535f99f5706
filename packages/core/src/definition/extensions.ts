/** An object of a definition without its `x-*` keys, which mean nothing to Keelson. Other values are returned as they are. */
export function withoutExtensions(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  const keys = Object.keys(value);
  if (!keys.some((key) => key.startsWith('x-'))) return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith('x-')));
}

/** The same for an object and the named objects directly in it. */
export function withoutExtensionsIn(value: unknown, nested: readonly string[]): unknown {
  const outer = withoutExtensions(value);
  if (outer === null || typeof outer !== 'object' || Array.isArray(outer)) return outer;
  const present = nested.filter((key) => Object.hasOwn(outer, key));
  if (present.length === 0) return outer;
  const record = outer as Readonly<Record<string, unknown>>;
  return { ...record, ...Object.fromEntries(present.map((key) => [key, withoutExtensions(record[key])])) };
}
