/** Why the embedded PostgreSQL could not be started or used; stable, for callers that react to one of them. */
export type EmbeddedPostgresCode =
  | 'data-directory-in-use'
  | 'data-directory-unusable'
  | 'postgres-binaries-missing'
  | 'postgres-user-missing'
  | 'postgres-init-failed'
  | 'postgres-start-failed'
  | 'postgres-version-mismatch'
  | 'port-in-use'
  | 'disk-full';

/** One clear line for the person at the terminal, and a code for the program. */
export class EmbeddedPostgresError extends Error {
  readonly code: EmbeddedPostgresCode;

  constructor(code: EmbeddedPostgresCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EmbeddedPostgresError';
    this.code = code;
  }
}

/** The `code` of a Node system error (`ENOENT`, `EACCES`, …), or undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}
