import { z } from 'zod';
import { secretName, time } from './scalar.ts';

export const MAX_SECRET_BYTES = 64 * 1024;

/** `PUT projects/{p}/secrets/{name}` → 204. The value is stored encrypted and never given out again. */
export const putSecretRequest = z.strictObject({ value: z.string().min(1).max(MAX_SECRET_BYTES) });
export type PutSecretRequest = z.infer<typeof putSecretRequest>;

export const secret = z.object({ name: secretName, updatedAt: time, updatedBy: z.string() }).meta({ id: 'Secret' });
export type Secret = z.infer<typeof secret>;
