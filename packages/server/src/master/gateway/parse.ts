import { ApiError } from '@keelson/protocol';
import type { z } from 'zod';

/**
 * What came over a wire, as what the protocol says it is.
 *
 * @throws {ApiError} `invalid-request`, with the place of each mistake
 */
export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = safely(() => schema.safeParse(value));
  if (result.success) return result.data;
  const errors = result.error.issues.map(({ path, code, message }) => ({
    path: path.join('.'),
    code: code.replaceAll('_', '-'),
    message,
  }));
  const detail = errors.map(({ path, message }) => `${path}: ${message}`).join('; ');
  throw new ApiError('invalid-request', detail.slice(0, 1000), { errors: errors.slice(0, 100) });
}

/** A value nested without end exhausts the stack of whoever walks it. */
function safely<T>(walk: () => T): T {
  try {
    return walk();
  } catch (error) {
    if (error instanceof RangeError) throw new ApiError('invalid-request', 'the body is nested too deeply');
    throw error;
  }
}
