import { z } from 'zod';

/** One thing that is wrong with (or doubtful in) a definition, and where. Lines and columns count from 1. */
export const definitionIssue = z
  .object({
    severity: z.enum(['error', 'warning']),
    code: z.string(),
    message: z.string(),
    suggestion: z.string().optional(),
    path: z.string(),
    line: z.int().optional(),
    column: z.int().optional(),
    /** As the client named it. */
    file: z.string().optional(),
  })
  .meta({ id: 'DefinitionIssue' });
export type RestDefinitionIssue = z.infer<typeof definitionIssue>;

/** `POST lint`: checks a source and stores nothing. */
export const lintRequest = z.strictObject({ source: z.string(), file: z.string().max(1024).optional() });
export type LintRequest = z.infer<typeof lintRequest>;
export const lintResponse = z.object({
  valid: z.boolean(),
  /** `project/workflow` as the source names it; null when it is not valid. */
  project: z.string().nullable(),
  workflow: z.string().nullable(),
  issues: z.array(definitionIssue),
});
export type LintResponse = z.infer<typeof lintResponse>;
