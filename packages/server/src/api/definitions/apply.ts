import type { z } from 'zod';
import { MAX_DEFINITION_BYTES } from '@keelson/core';
import { ApiError, applyRequest, applyResponse, lintRequest, lintResponse } from '@keelson/protocol';
import type { AppliedWorkflow, FieldError } from '@keelson/protocol';
import type { DefinitionDraft } from '@keelson/store';
import { callerName } from '../http/authenticate.ts';
import { definitionChanges } from './definition-changes.ts';
import { draftOf, refuseErrors } from './definition-source.ts';
import type { DefinitionReader } from './definition-source.ts';
import type { Api, ApiDeps } from '../deps.ts';

const MAX_APPLY_BYTES = 64 * 1024 * 1024;
/** A source of the largest size, escaped as JSON. */
const MAX_LINT_BYTES = 2 * MAX_DEFINITION_BYTES;

type Bundle = z.output<typeof applyRequest>;

export function applyRoutes(api: Api, { store, wake }: ApiDeps, reader: DefinitionReader): void {
  api.post(
    '/api/v1/lint',
    {
      config: { permission: 'workflows:read' },
      bodyLimit: MAX_LINT_BYTES,
      schema: { summary: 'Check a definition; nothing is stored', body: lintRequest, response: { 200: lintResponse } },
    },
    async ({ body }) => {
      const { definition, issues } = reader.read({
        text: body.source,
        ...(body.file !== undefined && { file: body.file }),
      });
      return {
        valid: definition !== undefined,
        project: definition?.project ?? null,
        workflow: definition?.name ?? null,
        issues: [...issues],
      };
    },
  );
  api.post(
    '/api/v1/apply',
    {
      config: { permission: 'workflows:write' },
      bodyLimit: MAX_APPLY_BYTES,
      schema: {
        summary: 'Publish a bundle of definitions, all or none; with dryRun: say what would change',
        body: applyRequest,
        response: { 200: applyResponse },
      },
    },
    async (request) => {
      const { workflows, dryRun } = request.body;
      const read = workflows.map(({ source, file }) => reader.read({ text: source, file }));
      const definitions = refuseErrors(read);
      refuseBadPaths(workflows);
      const drafts = definitions.map((definition, index) => {
        const { source = '', files = [] } = workflows[index] ?? {};
        return draftOf(definition, source, files, callerName(request));
      });
      refuseDuplicates(drafts, workflows);
      const planned = await store.definitions.plan(drafts);
      const applied = dryRun ? undefined : await store.definitions.apply(drafts);
      // A limit may have changed, and when something is due next.
      if (applied !== undefined) wake.followup('admission');
      if (applied !== undefined) wake.followup('schedule');
      const answers = drafts.map((draft, index): AppliedWorkflow => {
        const plan = planned[index];
        const now = applied?.[index];
        const latest = plan?.latest?.version ?? 0;
        const action = plan?.change ?? 'create';
        return {
          file: workflows[index]?.file ?? '',
          project: draft.project,
          workflow: draft.name,
          // What was true when it was planned may have changed when it was applied.
          action: now === undefined ? action : now.changed ? (now.version === 1 ? 'create' : 'update') : 'unchanged',
          version: now?.version ?? (action === 'unchanged' ? latest : latest + 1),
          hash: draft.hash,
          changes: definitionChanges(plan?.latest, draft),
          warnings: [...(read[index]?.issues ?? [])],
        };
      });
      return { dryRun, workflows: answers, missingBlobs: dryRun ? await missingBlobs(store, drafts) : [] };
    },
  );
}

async function missingBlobs(store: ApiDeps['store'], drafts: readonly DefinitionDraft[]): Promise<string[]> {
  const names = [...new Set(drafts.flatMap(({ files }) => files.map(({ sha256 }) => sha256)))];
  if (names.length === 0) return [];
  const there = await store.blobs.has(names);
  return names.filter((name) => !there.has(name));
}

function refuseDuplicates(drafts: readonly DefinitionDraft[], workflows: Bundle['workflows']): void {
  const seen = new Map<string, string>();
  for (const [index, { project, name }] of drafts.entries()) {
    const file = workflows[index]?.file ?? '';
    const key = `${project}/${name}`;
    const other = seen.get(key);
    if (other !== undefined) throw new ApiError('duplicate-workflow', `${other} and ${file} both define ${key}`);
    seen.set(key, file);
  }
}

/** Files are laid into a task's working directory: nothing may point out of it, and no two may be one. */
function refuseBadPaths(workflows: Bundle['workflows']): void {
  const errors = workflows.flatMap(({ files }, workflow): FieldError[] => {
    const seen = new Set<string>();
    return files.flatMap(({ path }, index) => {
      const message = seen.has(path) ? 'is named twice' : badPath(path);
      seen.add(path);
      return message === undefined
        ? []
        : [
            {
              path: `body.workflows.${workflow}.files.${index}.path`,
              code: 'bad-path',
              message: `${JSON.stringify(path)} ${message}`,
            },
          ];
    });
  });
  const first = errors[0];
  if (first !== undefined) throw new ApiError('invalid-request', `${first.path}: ${first.message}`, { errors });
}

function badPath(path: string): string | undefined {
  if (/^\/|^[A-Za-z]:|\\/.test(path)) return 'must be relative, with "/" between its parts';
  if (path.split('/').some((part) => part === '' || part === '.' || part === '..'))
    return 'must have no empty part, no "." and no ".."';
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return /[\u0000-\u001f\u007f]/.test(path) ? 'must have no control characters' : undefined;
}
