import type {
  ApplyRequest,
  ApplyResponse,
  LintRequest,
  LintResponse,
  Page,
  Project,
  PutWorkflowResponse,
  Workflow,
  WorkflowDetail,
  WorkflowVersion,
} from '@keelson/protocol';
import { KeelsonApiError } from './client-errors.ts';
import type { Send } from './client-transport.ts';
import { readJson } from './client-transport.ts';

export interface PageRequest {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** Calls about projects, workflow definitions and the files that belong to them. */
export function definitionCalls(send: Send) {
  const at = (project: string, workflow?: string) => {
    const list = `api/v1/projects/${encodeURIComponent(project)}/workflows`;
    return workflow === undefined ? list : `${list}/${encodeURIComponent(workflow)}`;
  };
  const get = async <Body>(path: string, query: object = {}) =>
    readJson<Body>(await send('GET', path, { query: { ...query } }));
  return {
    listProjects: (page: PageRequest = {}) => get<Page<Project>>('api/v1/projects', page),
    listWorkflows: (project: string, query: PageRequest & { readonly search?: string | undefined } = {}) =>
      get<Page<Workflow>>(at(project), query),
    getWorkflow: (project: string, workflow: string, query: { version?: number | undefined } = {}) =>
      get<WorkflowDetail>(at(project, workflow), query),
    listVersions: (project: string, workflow: string, page: PageRequest = {}) =>
      get<Page<WorkflowVersion>>(`${at(project, workflow)}/versions`, page),
    /** Stores a definition that names no files, YAML or JSON. The same content again makes no new version. */
    async putWorkflow(
      project: string,
      workflow: string,
      source: string,
      contentType = 'application/yaml',
    ): Promise<PutWorkflowResponse> {
      return readJson(
        await send('PUT', at(project, workflow), { text: { body: source, contentType }, repeatable: true }),
      );
    },
    async deleteWorkflow(project: string, workflow: string): Promise<void> {
      await send('DELETE', at(project, workflow));
    },
    lint: async (request: LintRequest) =>
      readJson<LintResponse>(await send('POST', 'api/v1/lint', { json: request, repeatable: true })),
    /** Stores all workflows or none; with `dryRun` it only says what would change. */
    apply: async (request: ApplyRequest) =>
      readJson<ApplyResponse>(await send('POST', 'api/v1/apply', { json: request, repeatable: true })),
    async hasBlob(sha256: string): Promise<boolean> {
      try {
        await send('HEAD', `api/v1/blobs/${sha256}`);
        return true;
      } catch (error) {
        if (error instanceof KeelsonApiError && error.status === 404) return false;
        throw error;
      }
    },
    /** A Blob is streamed. */
    async putBlob(sha256: string, bytes: Uint8Array | Blob): Promise<void> {
      await send('PUT', `api/v1/blobs/${sha256}`, { bytes, repeatable: true });
    },
  };
}
