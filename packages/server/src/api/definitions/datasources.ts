import { z } from 'zod';
import { ApiError, datasource, pageOf, putDatasourceRequest, scalar, testDatasourceResponse } from '@keelson/protocol';
import type { Datasource, TestDatasourceResponse } from '@keelson/protocol';
import type { DatasourceInfo, Datasources } from '@keelson/store';
import { callerName } from '../http/authenticate.ts';
import { tryDatasource } from './datasource-connection.ts';
import type { DatasourceToTest } from './datasource-connection.ts';
import type { Api, ApiDeps } from '../deps.ts';

const project = z.object({ project: scalar.name });
const named = project.extend({ name: scalar.datasourceName });
const DEFAULT_PORTS = { postgresql: 5432, mysql: 3306 } as const;
const TEST_TIMEOUT_MS = 15_000;

export function datasourceRoutes(api: Api, { store: { datasources } }: ApiDeps): void {
  readRoutes(api, datasources);
  writeRoutes(api, datasources);
}

function readRoutes(api: Api, datasources: Datasources): void {
  api.get(
    '/api/v1/projects/:project/datasources',
    {
      config: { permission: 'datasources:read' },
      schema: {
        summary: 'List the datasources, without their passwords',
        params: project,
        response: { 200: pageOf(datasource) },
      },
    },
    async ({ params }) => ({ items: (await datasources.list(params.project)).map(restDatasource), next: null }),
  );
  api.get(
    '/api/v1/projects/:project/datasources/:name',
    {
      config: { permission: 'datasources:read' },
      schema: { summary: 'Read a datasource, without its password', params: named, response: { 200: datasource } },
    },
    async ({ params }) => {
      const found = await datasources.get(params.project, params.name);
      if (found === undefined) throw unknown(params);
      return restDatasource(found);
    },
  );
}

function writeRoutes(api: Api, datasources: Datasources): void {
  api.put(
    '/api/v1/projects/:project/datasources/:name',
    {
      config: { permission: 'datasources:write' },
      schema: {
        summary: 'Set a datasource',
        params: named,
        body: putDatasourceRequest,
        response: { 204: z.undefined() },
      },
    },
    async (request, reply) => {
      const { params, body } = request;
      const { password, tls, port = DEFAULT_PORTS[body.kind], ...config } = body;
      const draft = {
        config: { ...config, port, ...(tls !== undefined && { tls }) },
        ...(password !== undefined && { password }),
      };
      await datasources.set(params.project, params.name, draft, callerName(request));
      return reply.code(204).send();
    },
  );
  api.delete(
    '/api/v1/projects/:project/datasources/:name',
    {
      config: { permission: 'datasources:write' },
      schema: { summary: 'Delete a datasource', params: named, response: { 204: z.undefined() } },
    },
    async ({ params }, reply) => {
      if (!(await datasources.delete(params.project, params.name))) throw unknown(params);
      return reply.code(204).send();
    },
  );
  api.post(
    '/api/v1/projects/:project/datasources/:name/test',
    {
      config: { permission: 'datasources:test' },
      schema: {
        summary: 'Connect to a datasource and say how it went',
        params: named,
        response: { 200: testDatasourceResponse },
      },
    },
    async ({ params }) => {
      const found = await datasources.reveal(params.project, params.name);
      if (found === undefined) throw unknown(params);
      return tryOut(found);
    },
  );
}

async function tryOut(found: DatasourceToTest): Promise<TestDatasourceResponse> {
  const began = performance.now();
  const trial = await tryDatasource(found, AbortSignal.timeout(TEST_TIMEOUT_MS));
  const elapsedMs = Math.round(performance.now() - began);
  if (trial.ok) return { ok: true, elapsedMs, serverVersion: trial.serverVersion, error: null };
  return { ok: false, elapsedMs, serverVersion: null, error: { code: trial.code, message: trial.message } };
}

/** The stored configuration is what a `putDatasourceRequest` once was. */
function restDatasource({ config, ...info }: DatasourceInfo): Datasource {
  return { ...info, config: datasource.shape.config.parse(config) };
}

function unknown({ project, name }: { project: string; name: string }): ApiError {
  return new ApiError('unknown-datasource', `project ${project} has no datasource ${name}`);
}
