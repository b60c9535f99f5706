import { describeTrigger } from '@keelson/core';
import type { TriggerDefinition, WorkflowDefinition } from '@keelson/core';
import type { FileRef, WorkflowSummary, WorkflowVersion } from '../../definitions.ts';
import { iso } from '../connection/rows.ts';

export interface VersionRow {
  readonly project: string;
  readonly name: string;
  readonly workflow_id: string;
  readonly workflow_created_at: Date;
  readonly latest_version: number;
  readonly id: string;
  readonly version: number;
  readonly hash: string;
  readonly definition: WorkflowDefinition;
  readonly source: string;
  readonly files: FileRef[];
  readonly created_by: string;
  readonly created_at: Date;
}

export interface SummaryRow {
  readonly project: string;
  readonly name: string;
  readonly workflow_created_at: Date;
  readonly version: number;
  readonly hash: string;
  readonly task_count: number;
  readonly created_by: string;
  readonly created_at: Date;
  readonly title: string | null;
  readonly description: string | null;
  readonly owner: string | null;
  readonly labels: Record<string, string>;
  readonly timezone: string;
  readonly triggers: readonly TriggerDefinition[];
}

export function versionFrom(row: VersionRow): WorkflowVersion {
  const { project, name, id, version, hash, definition, source, files } = row;
  return {
    project,
    name,
    workflowId: row.workflow_id,
    workflowCreatedAt: iso(row.workflow_created_at),
    latestVersion: row.latest_version,
    id,
    version,
    hash,
    definition,
    source,
    files,
    createdBy: row.created_by,
    createdAt: iso(row.created_at),
  };
}

export function summaryFrom(row: SummaryRow): WorkflowSummary {
  const { project, name, version, hash, title, description, owner, labels, timezone, triggers } = row;
  return {
    project,
    name,
    version,
    hash,
    title,
    description,
    owner,
    labels,
    timezone,
    crons: triggers.flatMap(({ cron }) => cron ?? []),
    triggers: triggers.map(describeTrigger),
    taskCount: row.task_count,
    createdAt: iso(row.workflow_created_at),
    updatedAt: iso(row.created_at),
    updatedBy: row.created_by,
  };
}
