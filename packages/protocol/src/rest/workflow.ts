import { z } from 'zod';
import { definitionIssue } from './issue.ts';
import { jsonObject, name, sha256, time } from './scalar.ts';

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
export const workflowDetail = workflow
  .extend({
    latestVersion: z.int(),
    /** Normalised: every short form expanded, every default folded into its task. */
    definition: jsonObject,
    /** As it was applied. */
    source: z.string(),
    files: z.array(versionFile),
  })
  .meta({ id: 'WorkflowDetail' });
export type WorkflowDetail = z.infer<typeof workflowDetail>;

export const workflowQuery = z.strictObject({ version: z.coerce.number().int().min(1).optional() });

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
