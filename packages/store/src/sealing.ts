import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { SecretKey } from './secret-key.ts';
import { StoreError } from './store-error.ts';

/** What a sealed value belongs to; it opens nowhere else. */
export interface SealOwner {
  readonly kind: 'secret' | 'datasource';
  readonly project: string;
  readonly name: string;
}

/** Names the key; with another one, old and new values can be told apart while keys are changed. */
const KEY_ID = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** AES-256-GCM: key id (1 byte), nonce, tag, ciphertext. */
export function seal(key: SecretKey, owner: SealOwner, value: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(ownerBytes(owner));
  const sealed = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()]);
  return Buffer.concat([Buffer.of(KEY_ID), nonce, cipher.getAuthTag(), sealed]);
}

/** @throws {StoreError} `wrong-secret-key`: another key sealed it, or it was damaged or moved */
export function unseal(key: SecretKey, owner: SealOwner, sealed: Buffer): string {
  const wrong = (cause?: unknown): StoreError =>
    new StoreError(
      'unavailable',
      'wrong-secret-key',
      `the ${owner.kind} ${owner.project}/${owner.name} cannot be decrypted: it was stored under another secret key; start with that key, or set the value again`,
      { cause },
    );
  if (sealed[0] !== KEY_ID || sealed.length < 1 + NONCE_BYTES + TAG_BYTES) throw wrong();
  const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
  const tag = sealed.subarray(1 + NONCE_BYTES, 1 + NONCE_BYTES + TAG_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
    .setAAD(ownerBytes(owner))
    .setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(sealed.subarray(1 + NONCE_BYTES + TAG_BYTES)), decipher.final()]).toString(
      'utf8',
    );
  } catch (error) {
    throw wrong(error);
  }
}

function ownerBytes({ kind, project, name }: SealOwner): Buffer {
  return Buffer.from(`${kind}\0${project}\0${name}`, 'utf8');
}

/** @throws {StoreError} `no-secret-key` */
export function requireKey(key: SecretKey | undefined): SecretKey {
  if (key !== undefined) return key;
  throw new StoreError(
    'unavailable',
    'no-secret-key',
    'this process has no secret key: set KEELSON_SECRET_KEY or KEELSON_SECRET_KEY_FILE',
  );
}
