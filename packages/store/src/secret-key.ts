import { StoreError } from './store-error.ts';

/** The key of all secrets: 32 bytes. */
export type SecretKey = Buffer;

/**
 * @param text 32 bytes as base64, base64url or hexadecimal digits
 * @throws {StoreError} `invalid-secret-key`, never with the text in it
 */
export function parseSecretKey(text: string): SecretKey {
  const trimmed = text.trim();
  if (/^[0-9a-fA-F]{64}$/.test(trimmed)) return Buffer.from(trimmed, 'hex');
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) return Buffer.from(trimmed, 'base64');
  throw new StoreError(
    'invalid',
    'invalid-secret-key',
    `the secret key must be 32 bytes as base64 or hex (make one with: openssl rand -base64 32); this text has ${trimmed.length} characters`,
  );
}
