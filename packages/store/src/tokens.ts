export type TokenRole = 'admin' | 'operator' | 'viewer' | 'worker';
export const TOKEN_ROLES: readonly TokenRole[] = ['admin', 'operator', 'viewer', 'worker'];

export interface TokenHolder {
  readonly id: string;
  readonly name: string;
  readonly role: TokenRole;
}

export interface TokenInfo extends TokenHolder {
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
}

export interface TokenDraft {
  readonly name: string;
  readonly role: TokenRole;
  /** RFC 3339. */
  readonly expiresAt?: string | undefined;
}

/** Bearer tokens of the API and join tokens of workers. Only a hash is stored. */
export interface Tokens {
  /** The only time that the token itself is seen. */
  create(draft: TokenDraft): Promise<{ readonly info: TokenInfo; readonly token: string }>;
  /** Who holds the token; undefined for one that is unknown, expired or revoked. A revocation counts within 5 s. */
  verify(token: string): Promise<TokenHolder | undefined>;
  /** Newest first; expired and revoked ones too. */
  list(): Promise<TokenInfo[]>;
  /**
   * Undefined when there is no such token or it is revoked already. Workers that joined with it are given nothing more and cannot renew:
   * each kills what it runs at its next call, and its attempts are lost when its lease has run out, since only then nothing can run.
   */
  revoke(id: string): Promise<Revocation | undefined>;
}

export interface Revocation {
  /** Names of the workers that it ends. */
  readonly workers: readonly string[];
}
