import { z } from 'zod';
import { definitionIssue } from './issue.ts';
import { name, sha256 } from './scalar.ts';
import { versionFile } from './workflow.ts';

export const MAX_APPLY_WORKFLOWS = 1_000;
export const MAX_VERSION_FILES = 10_000;
export const MAX_BLOB_BYTES = 256 * 1024 * 1024;

/**
 * `POST apply`: all workflows of the bundle are stored in one transaction, or none. The files' blobs are uploaded
 * before with `PUT blobs/{sha256}`; those that are not there yet are named in the problem `missing-blobs`.
 */
export const applyRequest = z.strictObject({
  workflows: z
    .array(
      z.strictObject({
        /** The definition's text, YAML or JSON. */
        source: z.string(),
        /** The client's name for it, repeated in issues. */
        file: z.string().min(1).max(1024),
        files: z.array(versionFile).max(MAX_VERSION_FILES).default([]),
      }),
    )
    .min(1)
    .max(MAX_APPLY_WORKFLOWS),
  /** True: check everything and say what would change (`keelson plan`); nothing is stored and no blob is needed. */
  dryRun: z.boolean().default(false),
});
export type ApplyRequest = z.input<typeof applyRequest>;

/** One difference to the latest version, by its path in the normalised definition (`tasks.load.with.sql`, `files.extract.sh`). */
export const definitionChange = z
  .object({ path: z.string(), kind: z.enum(['added', 'removed', 'changed']) })
  .meta({ id: 'DefinitionChange' });
export type DefinitionChange = z.infer<typeof definitionChange>;

export const appliedWorkflow = z
  .object({
    file: z.string(),
    project: name,
    workflow: name,
    action: z.enum(['create', 'update', 'unchanged']),
    /** The version that is the latest one now (in a dry run: would be). */
    version: z.int(),
    hash: z.string(),
    changes: z.array(definitionChange),
    warnings: z.array(definitionIssue),
  })
  .meta({ id: 'AppliedWorkflow' });
export type AppliedWorkflow = z.infer<typeof appliedWorkflow>;

export const applyResponse = z.object({
  dryRun: z.boolean(),
  workflows: z.array(appliedWorkflow),
  /** In a dry run: blobs that have to be uploaded before the real one. Else empty. */
  missingBlobs: z.array(sha256),
});
export type ApplyResponse = z.infer<typeof applyResponse>;

/** `PUT blobs/{sha256}`: the body is the octets, at most `MAX_BLOB_BYTES`; the hash is checked. */
export const putBlobResponse = z.object({ sha256, size: z.int() });
export type PutBlobResponse = z.infer<typeof putBlobResponse>;
