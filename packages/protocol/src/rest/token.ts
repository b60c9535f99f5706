import { z } from 'zod';
import { id, moment, time } from './scalar.ts';

export const ROLES = ['admin', 'operator', 'viewer', 'worker'] as const;
export const role = z.enum(ROLES);
export type Role = z.infer<typeof role>;

export const createTokenRequest = z.strictObject({
  name: z.string().min(1).max(128),
  role,
  expiresAt: moment.optional(),
});
export type CreateTokenRequest = z.infer<typeof createTokenRequest>;

export const token = z
  .object({ id, name: z.string(), role, createdAt: time, expiresAt: time.nullable(), revokedAt: time.nullable() })
  .meta({ id: 'Token' });
export type Token = z.infer<typeof token>;

/** The only answer that ever carries the token itself. */
export const createdToken = token.extend({ token: z.string() }).meta({ id: 'CreatedToken' });
export type CreatedToken = z.infer<typeof createdToken>;
