export interface SecretInfo {
  readonly name: string;
  readonly updatedBy: string;
  readonly updatedAt: string;
}

/**
 * Values that a project's tasks may read, encrypted at rest. Without a key in the store's settings everything but `list`
 * and `delete` throws `no-secret-key`.
 */
export interface Secrets {
  /** @throws {StoreError} `invalid-name` */
  set(project: string, name: string, value: string, by: string): Promise<void>;
  /** Names, never values. */
  list(project: string): Promise<SecretInfo[]>;
  /** False when there was none. */
  delete(project: string, name: string): Promise<boolean>;
  /**
   * The values, for a dispatch.
   *
   * @throws {StoreError} `wrong-secret-key`
   */
  reveal(
    project: string,
    names: readonly string[],
  ): Promise<{ readonly values: Readonly<Record<string, string>>; readonly missing: readonly string[] }>;
}
