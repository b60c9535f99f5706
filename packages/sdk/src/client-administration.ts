import type {
  CreateTokenRequest,
  CreatedToken,
  Datasource,
  DoctorRepairs,
  DoctorReport,
  Node,
  Page,
  ProjectParams,
  PutDatasourceRequest,
  PutRetentionRequest,
  PutWorkerGroupRequest,
  RetentionPolicy,
  RetentionRun,
  RunRetentionRequest,
  Secret,
  ServerInfo,
  TestDatasourceResponse,
  Token,
  WorkerGroup,
  VerifyReport,
} from '@keelson/protocol';
import type { Send } from './client-transport.ts';
import { readJson } from './client-transport.ts';

type JsonObject = ProjectParams['params'];

/** Calls about what belongs to a project beside its workflows, and about the system as a whole. */
export function administrationCalls(send: Send) {
  const at = (project: string, kind: string, name?: string) =>
    [
      'api/v1/projects',
      encodeURIComponent(project),
      kind,
      ...(name === undefined ? [] : [encodeURIComponent(name)]),
    ].join('/');
  const get = async <Body>(path: string, query: object = {}) =>
    readJson<Body>(await send('GET', path, { query: { ...query } }));
  return {
    getServerInfo: () => get<ServerInfo>('api/v1'),
    listSecrets: (project: string) => get<Page<Secret>>(at(project, 'secrets')),
    async putSecret(project: string, name: string, value: string): Promise<void> {
      await send('PUT', at(project, 'secrets', name), { json: { value }, repeatable: true });
    },
    async deleteSecret(project: string, name: string): Promise<void> {
      await send('DELETE', at(project, 'secrets', name));
    },
    listDatasources: (project: string) => get<Page<Datasource>>(at(project, 'datasources')),
    async putDatasource(project: string, name: string, datasource: PutDatasourceRequest): Promise<void> {
      await send('PUT', at(project, 'datasources', name), { json: datasource, repeatable: true });
    },
    async testDatasource(project: string, name: string): Promise<TestDatasourceResponse> {
      return readJson(await send('POST', `${at(project, 'datasources', name)}/test`, { json: {} }));
    },
    async deleteDatasource(project: string, name: string): Promise<void> {
      await send('DELETE', at(project, 'datasources', name));
    },
    getProjectParams: async (project: string): Promise<JsonObject> =>
      (await get<ProjectParams>(at(project, 'params'))).params,
    /** Replaces all of them. */
    async putProjectParams(project: string, params: JsonObject): Promise<void> {
      await send('PUT', at(project, 'params'), { json: { params }, repeatable: true });
    },
    listNodes: () => get<Page<Node>>('api/v1/nodes'),
    listWorkerGroups: () => get<Page<WorkerGroup>>('api/v1/worker-groups'),
    async putWorkerGroup(group: string, request: PutWorkerGroupRequest): Promise<WorkerGroup> {
      const path = `api/v1/worker-groups/${encodeURIComponent(group)}`;
      return readJson(await send('PUT', path, { json: request, repeatable: true }));
    },
    listTokens: (query: { cursor?: string | undefined } = {}) => get<Page<Token>>('api/v1/tokens', query),
    createToken: async (request: CreateTokenRequest) =>
      readJson<CreatedToken>(await send('POST', 'api/v1/tokens', { json: request })),
    async revokeToken(id: string): Promise<void> {
      await send('DELETE', `api/v1/tokens/${encodeURIComponent(id)}`);
    },
    getRetention: () => get<RetentionPolicy>('api/v1/retention'),
    async putRetention(request: PutRetentionRequest): Promise<RetentionPolicy> {
      return readJson(await send('PUT', 'api/v1/retention', { json: request, repeatable: true }));
    },
    /** Runs for some seconds; `more` in the answer: call again. */
    async runRetention(request: RunRetentionRequest = {}): Promise<RetentionRun> {
      return readJson(await send('POST', 'api/v1/retention/run', { json: request, repeatable: true }));
    },
    getDoctorReport: () => get<DoctorReport>('api/v1/doctor'),
    /** @param query `since` is an instance's id or a time (RFC 3339) */
    verify: (query: { instance?: string | undefined; since?: string | undefined } = {}) =>
      get<VerifyReport>('api/v1/verify', query),
    /** Repairs what can be repaired safely, and answers what is left. */
    repairByDoctor: async () => readJson<DoctorRepairs>(await send('POST', 'api/v1/doctor/repair', { json: {} })),
  };
}
