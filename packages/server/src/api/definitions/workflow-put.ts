import { z } from 'zod';
import { MAX_DEFINITION_BYTES } from '@keelson/core';
import { ApiError, putWorkflowResponse, scalar } from '@keelson/protocol';
import { callerName } from '../http/authenticate.ts';
import { draftOf, modulesOf, refuseErrors } from './definition-source.ts';
import type { DefinitionReader } from './definition-source.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { acceptSource } from './source-body.ts';

const named = z.object({ project: scalar.name, workflow: scalar.name });

/** In a scope of its own: here the body is a definition's text, whatever its type; it is YAML or JSON by its content. */
export function workflowPutRoute(root: Api, deps: ApiDeps, reader: DefinitionReader): void {
  void root.register(async (api: Api) => {
    acceptSource(api);
    putRoute(api, deps, reader);
  });
}

function putRoute(api: Api, { store, wake }: ApiDeps, reader: DefinitionReader): void {
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
      // The limit may have changed, and when something is due next.
      wake.followup('admission');
      wake.followup('schedule');
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
