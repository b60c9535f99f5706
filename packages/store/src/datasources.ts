import type { JsonObject } from '@keelson/core';

export interface DatasourceInfo {
  readonly name: string;
  /** Everything but the password. */
  readonly config: JsonObject;
  readonly hasPassword: boolean;
  readonly updatedBy: string;
  readonly updatedAt: string;
}

export interface DatasourceDraft {
  readonly config: JsonObject;
  /** Absent: a stored one stays, unless `host` or `port` changes: a password does not follow its datasource to another server. */
  readonly password?: string | undefined;
}

/** Databases that a project's tasks may use by name; the password is encrypted at rest like a secret. */
export interface Datasources {
  /** @throws {StoreError} `invalid-name`, `password-in-config`, `password-required`, `no-secret-key` */
  set(project: string, name: string, draft: DatasourceDraft, by: string): Promise<void>;
  get(project: string, name: string): Promise<DatasourceInfo | undefined>;
  list(project: string): Promise<DatasourceInfo[]>;
  /** False when there was none. */
  delete(project: string, name: string): Promise<boolean>;
  /** With the password, for a dispatch or a test. */
  reveal(
    project: string,
    name: string,
  ): Promise<{ readonly config: JsonObject; readonly password?: string } | undefined>;
}
