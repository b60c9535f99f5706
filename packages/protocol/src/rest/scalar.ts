import type { JsonValue } from '@keelson/core';
import { z } from 'zod';

/** Opaque to a client: compare it, never take it apart. */
export const id = z.string().min(1).max(128);
/** RFC 3339 in UTC. */
export const time = z.iso.datetime();
/**
 * RFC 3339 with an offset or `Z`, as far as PostgreSQL's `timestamptz` can name it: in the years 1 to 9999, with an offset of less than 16 hours.
 * An offset in a query is written with `+` as `%2B`; a `Z` needs nothing.
 */
export const moment = z.iso.datetime({ offset: true }).refine((text) => {
  const year = new Date(text).getUTCFullYear();
  return Number(text.slice(0, 4)) >= 1 && year >= 1 && year <= 9999 && !/[+-](?:1[6-9]|2\d):\d\d$/.test(text);
}, 'must lie in the years 1 to 9999, with an offset of less than 16 hours');
/** Of a workflow; of an instance its generation, too. */
export const version = z.int().min(1).max(2_147_483_647);
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits, lower case');

/** Names a project or a workflow. */
export const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must match [a-z0-9][a-z0-9-]{0,62}');
export const taskId = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, 'must match [A-Za-z_][A-Za-z0-9_]{0,63}');
export const secretName = taskId;
export const datasourceName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/, 'must match [A-Za-z_][A-Za-z0-9_-]{0,63}');

/** Not `z.json()`: a recursive schema needs a name to be referred to in the OpenAPI document. */
export const jsonValue: z.ZodType<JsonValue> = z
  .lazy(() =>
    z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(jsonValue), z.record(z.string(), jsonValue)]),
  )
  .meta({ id: 'JsonValue' });
export const jsonObject = z.record(z.string(), jsonValue);

/** Why something ended as it did, or does not start. */
export const reason = z
  .object({ code: z.string(), message: z.string(), exitCode: z.int().optional(), signal: z.string().optional() })
  .meta({ id: 'Reason' });
