import { z } from 'zod';
import { definitionIssue } from './issue.ts';
import { pageQuery } from './page.ts';
import { jsonObject, name, sha256, time, version } from './scalar.ts';

/** A file that belongs to a version: uploaded before `apply` as a blob, laid into every attempt's working directory. */
export const versionFile = z
  .strictObject({
    path: z.string().min(1).max(1024),
    sha256,
    size: z.int().min(0),
    mode: z.int().min(0).max(0o777),
  })
  .meta({ id: 'VersionFile' });
export type VersionFile = z.infer<typeof versionFile>;

export const workflow = z
  .object({
    project: name,
    name,
    /** The latest one. */
    version: z.int(),
    hash: z.string(),
    title: z.string().nullable(),
    description: z.string().nullable(),
    owner: z.string().nullable(),
    labels: z.record(z.string(), z.string()),
    timezone: z.string(),
    crons: z.array(z.string()),
    /** What each trigger says, in few words. */
    triggers: z.array(z.string()),
    taskCount: z.int(),
    createdAt: time,
    /** When the latest version was applied, and by whom. */
    updatedAt: time,
    updatedBy: z.string(),
  })
  .meta({ id: 'Workflow' });
export type Workflow = z.infer<typeof workflow>;

export const workflowVersion = z
  .object({ version: z.int(), hash: z.string(), createdBy: z.string(), createdAt: time })
  .meta({ id: 'WorkflowVersion' });
export type WorkflowVersion = z.infer<typeof workflowVersion>;

/** `GET projects/{p}/workflows/{w}`: one version, whole. */
export const workflowDetail = workflowVersion
  .extend({
    project: name,
    name,
    latestVersion: z.int(),
    taskCount: z.int(),
    /** Normalised: every short form expanded, every default folded into its task. */
    definition: jsonObject,
    /** As it was applied. */
    source: z.string(),
    files: z.array(versionFile),
  })
  .meta({ id: 'WorkflowDetail' });
export type WorkflowDetail = z.infer<typeof workflowDetail>;

/** `search` is a part of the name. */
export const workflowListQuery = pageQuery.extend({ search: z.string().max(64).optional() });

export const workflowVersionQuery = z.strictObject({
  version: z.coerce.number().pipe(version).optional(),
});

/** `PUT projects/{p}/workflows/{w}` takes the source itself (YAML or JSON) as its body and answers this. */
export const putWorkflowResponse = z
  .object({
    version: z.int(),
    hash: z.string(),
    /** False: the latest version has the same content already. */
    changed: z.boolean(),
    warnings: z.array(definitionIssue),
  })
  .meta({ id: 'PutWorkflowResponse' });
export type PutWorkflowResponse = z.infer<typeof putWorkflowResponse>;
