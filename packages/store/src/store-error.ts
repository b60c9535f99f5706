/**
 * What a caller asked for cannot be done, and why, in words for a person. The code is stable.
 *
 * - `not-found`: the thing named does not exist
 * - `conflict`: it exists, but is not in the right state for this
 * - `invalid`: the request itself is wrong
 * - `unavailable`: the request is right, the surroundings are not (no secret key, a blob store that cannot be reached)
 */
export type StoreErrorKind = 'not-found' | 'conflict' | 'invalid' | 'unavailable';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly kind: StoreErrorKind;
  readonly code: string;
  /** What is not there, by name. */
  readonly missing: readonly string[];
  constructor(
    kind: StoreErrorKind,
    code: string,
    message: string,
    options: ErrorOptions & { readonly missing?: readonly string[] } = {},
  ) {
    super(message, options);
    this.kind = kind;
    this.code = code;
    this.missing = options.missing ?? [];
  }
}
