import { z } from 'zod';
import { MAX_DEFINITION_BYTES } from '@keelson/core';
import {
  ApiError,
  pageOf,
  putWorkflowResponse,
  scalar,
  workflow,
  workflowDetail,
  workflowListQuery,
  workflowVersion,
  workflowVersionQuery,
  pageQuery,
} from '@keelson/protocol';
import { callerName } from './authenticate.ts';
import { draftOf, modulesOf, refuseErrors } from './definition-source.ts';
import type { DefinitionReader } from './definition-source.ts';
import type { Api, ApiDeps } from './deps.ts';
import { restPage } from './rest-page.ts';

const project = z.object({ project: scalar.name });
const named = project.extend({ workflow: scalar.name });
const SOURCE_TYPES = [
  'application/yaml',
  'application/x-yaml',
  'text/yaml',
  'text/x-yaml',
  'text/plain',
  'application/json',
  'application/octet-stream',
];

export function workflowRoutes(api: Api, { store }: ApiDeps, reader: DefinitionReader): void {
  api.get(
    '/api/v1/projects/:project/workflows',
    {
      config: { permission: 'workflows:read' },
      schema: {
        summary: 'List the workflows of a project',
        params: project,
        querystring: workflowListQuery,
        response: { 200: pageOf(workflow) },
      },
    },
    async ({ params, query }) =>
      restPage(await store.definitions.list({ project: params.project, search: query.search }, query), (item) => ({
        ...item,
        crons: [...item.crons],
      })),
  );
  api.get(
    '/api/v1/projects/:project/workflows/:workflow',
    {
      config: { permission: 'workflows:read' },
      schema: {
        summary: 'Read one version of a workflow, by default the latest',
        params: named,
        querystring: workflowVersionQuery,
        response: { 200: workflowDetail },
      },
    },
    async ({ params, query }) => {
      const found = await store.definitions.get({ project: params.project, name: params.workflow }, query.version);
      if (found === undefined) throw await unknownVersion(store, params, query.version);
      return {
        ...found,
        taskCount: Object.keys(found.definition.tasks).length,
        files: [...found.files],
        definition: JSON.parse(JSON.stringify(found.definition)),
      };
    },
  );
  api.get(
    '/api/v1/projects/:project/workflows/:workflow/versions',
    {
      config: { permission: 'workflows:read' },
      schema: {
        summary: 'List the versions of a workflow, newest first',
        params: named,
        querystring: pageQuery,
        response: { 200: pageOf(workflowVersion) },
      },
    },
    async ({ params, query }) => {
      const name = { project: params.project, name: params.workflow };
      const page = await store.definitions.versions(name, query);
      if (page.items.length === 0 && query.cursor === undefined) throw await unknownVersion(store, params, undefined);
      return restPage(page, (item) => item);
    },
  );
  api.delete(
    '/api/v1/projects/:project/workflows/:workflow',
    {
      config: { permission: 'workflows:write' },
      schema: {
        summary: 'Delete a workflow; its versions and instances stay',
        params: named,
        response: { 204: z.undefined() },
      },
    },
    async ({ params }, reply) => {
      await store.definitions.delete({ project: params.project, name: params.workflow });
      return reply.code(204).send();
    },
  );
  void api.register(async (scope) => putRoute(scope, store, reader));
}

/** In a scope of its own: here the body is a definition's text, whatever its type. */
function putRoute(api: Api, store: ApiDeps['store'], reader: DefinitionReader): void {
  api.removeAllContentTypeParsers();
  api.addContentTypeParser(
    SOURCE_TYPES,
    { parseAs: 'string', bodyLimit: MAX_DEFINITION_BYTES },
    (_request, body, done) => done(null, body),
  );
  api.put(
    '/api/v1/projects/:project/workflows/:workflow',
    {
      config: { permission: 'workflows:write' },
      bodyLimit: MAX_DEFINITION_BYTES,
      schema: {
        summary: 'Publish a definition that names no files; the body is its YAML or JSON',
        consumes: ['application/yaml', 'application/json'],
        params: named,
        body: z.string(),
        response: { 200: putWorkflowResponse },
      },
    },
    async (request) => {
      const { params, body } = request;
      const read = reader.read({ text: body }, params.project);
      const [definition] = refuseErrors([read]);
      if (definition === undefined) throw new Error('a definition without errors is missing');
      refuseOtherName(params, definition);
      const modules = modulesOf(definition, reader.taskTypes);
      const uploads = [...(definition.files.length > 0 ? ['files'] : []), ...modules];
      if (uploads.length > 0)
        throw new ApiError(
          'files-need-apply',
          `${uploads.join(', ')} name files that have to be uploaded with the definition`,
        );
      const [applied] = await store.definitions.apply([draftOf(definition, body, [], callerName(request))]);
      if (applied === undefined) throw new Error('the store answered nothing for a definition');
      return { version: applied.version, hash: applied.hash, changed: applied.changed, warnings: [...read.issues] };
    },
  );
}

function refuseOtherName(
  url: { project: string; workflow: string },
  { project, name }: { project: string; name: string },
): void {
  if (project === url.project && name === url.workflow) return;
  throw new ApiError(
    'name-mismatch',
    `the URL names ${url.project}/${url.workflow}, the definition ${project}/${name}`,
  );
}

/** The right refusal for a version that is not there. */
export async function unknownVersion(
  store: ApiDeps['store'],
  { project, workflow }: { project: string; workflow: string },
  version: number | undefined,
): Promise<ApiError> {
  const latest = version === undefined ? undefined : await store.definitions.get({ project, name: workflow });
  if (latest !== undefined)
    return new ApiError(
      'unknown-version',
      `${project}/${workflow} has no version ${version}; its latest is ${latest.version}`,
    );
  return new ApiError('unknown-workflow', `there is no workflow ${project}/${workflow}`);
}
