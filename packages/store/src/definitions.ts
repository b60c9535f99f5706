import type { JsonObject, WorkflowDefinition } from '@keelson/core';
import type { Page, PageRequest } from './page.ts';

/** A file of a workflow version; the bytes are the blob of that name. */
export interface FileRef {
  readonly path: string;
  readonly sha256: string;
  readonly size: number;
  readonly mode: number;
}

export interface WorkflowName {
  readonly project: string;
  readonly name: string;
}

export interface DefinitionDraft extends WorkflowName {
  readonly definition: WorkflowDefinition;
  /** As it was written. */
  readonly source: string;
  readonly files: readonly FileRef[];
  /** SHA-256 (hex) of the canonical definition and its files. */
  readonly hash: string;
  readonly createdBy: string;
}

export interface Applied extends WorkflowName {
  readonly version: number;
  readonly versionId: string;
  readonly hash: string;
  /** A new version was made, or a deleted workflow is back. */
  readonly changed: boolean;
}

export interface PlannedApply extends WorkflowName {
  readonly change: 'create' | 'update' | 'unchanged';
  /** The latest version now; absent for a workflow that does not exist (or is deleted). */
  readonly latest?: {
    readonly version: number;
    readonly hash: string;
    readonly definition: WorkflowDefinition;
    readonly source: string;
    readonly files: readonly FileRef[];
  };
}

export interface VersionSummary {
  readonly id: string;
  readonly version: number;
  readonly hash: string;
  readonly createdBy: string;
  readonly createdAt: string;
}

export interface WorkflowSummary extends WorkflowName {
  readonly version: number;
  readonly hash: string;
  readonly title: string | null;
  readonly description: string | null;
  readonly owner: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly timezone: string;
  readonly crons: readonly string[];
  /** What each trigger says, in few words. */
  readonly triggers: readonly string[];
  readonly taskCount: number;
  readonly createdAt: string;
  /** When and by whom the latest version was applied. */
  readonly updatedAt: string;
  readonly updatedBy: string;
}

export interface WorkflowVersion extends VersionSummary, WorkflowName {
  readonly workflowId: string;
  /** Of the workflow, when it was first applied. */
  readonly workflowCreatedAt: string;
  readonly latestVersion: number;
  readonly definition: WorkflowDefinition;
  readonly source: string;
  readonly files: readonly FileRef[];
}

/** What an instance of the version is made from. */
export interface StartBasis {
  readonly workflowId: string;
  readonly versionId: string;
  readonly version: number;
  readonly taskCount: number;
  readonly definition: WorkflowDefinition;
  /** The project's parameters, the lowest in precedence. */
  readonly projectParams: JsonObject;
}

export interface DefinitionFilter {
  readonly project?: string | undefined;
  /** Part of the name. */
  readonly search?: string | undefined;
}

export interface Definitions {
  /**
   * Publishes all of them or none. Content equal to the latest version makes no new one; older content, applied again,
   * does. Answers in the order asked.
   *
   * @throws {StoreError} `missing-blobs` names the paths whose bytes were not uploaded, their hashes in `missing`; `duplicate-workflow`;
   * `invalid-name`
   */
  apply(drafts: readonly DefinitionDraft[]): Promise<Applied[]>;
  /** What `apply` would do, without doing it. */
  plan(
    drafts: readonly (WorkflowName & { readonly hash: string; readonly definition?: WorkflowDefinition })[],
  ): Promise<PlannedApply[]>;
  /** The latest version unless one is named; undefined when there is none or the workflow is deleted. */
  get(workflow: WorkflowName, version?: number): Promise<WorkflowVersion | undefined>;
  /** What a start needs, without reading a definition that this process has read before. */
  startBasis(workflow: WorkflowName, version?: number): Promise<StartBasis | undefined>;
  /** By project and name; deleted ones are left out. */
  list(filter: DefinitionFilter, page: PageRequest): Promise<Page<WorkflowSummary>>;
  /** Newest first. */
  versions(workflow: WorkflowName, page: PageRequest): Promise<Page<VersionSummary>>;
  /** Also of a deleted workflow: what runs keeps its version. */
  versionById(versionId: string): Promise<WorkflowVersion | undefined>;
  /**
   * Takes the workflow out of sight and ends its schedules; its versions and instances stay. Applying it again brings it back.
   *
   * @param by who asked, for its schedules
   * @throws {StoreError} `unknown-workflow`; `workflow-busy` while instances of it live
   */
  delete(workflow: WorkflowName, by?: string): Promise<void>;
}
