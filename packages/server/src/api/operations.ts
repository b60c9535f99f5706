import { alert, alertListQuery, doctorReport, node, pageOf, serverInfo, SPOKEN_PROTOCOLS } from '@keelson/protocol';
import type { Node } from '@keelson/protocol';
import { knownSchemaVersion } from '@keelson/store';
import type { ServerNode, WorkerNode } from '@keelson/store';
import type { Api, ApiDeps } from './deps.ts';
import { restPage } from './rest-page.ts';

export function operationRoutes(api: Api, { store, version }: ApiDeps): void {
  const schema = knownSchemaVersion();
  api.get(
    '/api/v1',
    {
      config: { permission: 'server:read' },
      schema: { summary: 'Who answers, and who asks', response: { 200: serverInfo } },
    },
    async ({ caller }) => ({
      name: 'keelson' as const,
      version,
      speaks: { rest: [1], worker: [...SPOKEN_PROTOCOLS], schema: await schema },
      token: { name: caller?.name ?? '', role: caller?.role ?? '' },
    }),
  );
  api.get(
    '/api/v1/nodes',
    {
      config: { permission: 'nodes:read' },
      schema: { summary: 'List servers and workers', response: { 200: pageOf(node) } },
    },
    async () => {
      const [servers, workers] = await Promise.all([store.nodes.servers(), store.nodes.workers()]);
      return { items: [...servers.map(restServer), ...workers.map(restWorker)], next: null };
    },
  );
  api.get(
    '/api/v1/doctor',
    {
      config: { permission: 'doctor:read' },
      schema: { summary: 'Look for rows that break a rule or that nothing drives', response: { 200: doctorReport } },
    },
    async () => {
      const findings = await store.doctor.check();
      return {
        healthy: findings.every(({ rows }) => rows.length === 0),
        findings: findings.map((finding) => ({ ...finding, rows: [...finding.rows] })),
      };
    },
  );
  api.get(
    '/api/v1/alerts',
    {
      config: { permission: 'alerts:read' },
      schema: { summary: 'List alerts, newest first', querystring: alertListQuery, response: { 200: pageOf(alert) } },
    },
    async ({ query: { undelivered, ...page } }) =>
      restPage(await store.alerts.list(undelivered === undefined ? {} : { undelivered }, page), (item) => item),
  );
}

function restServer({ roles, ...server }: ServerNode): Node {
  return { kind: 'server', ...server, roles: [...roles] };
}

function restWorker({ incarnation, capabilities, running, ...worker }: WorkerNode): Node {
  return { kind: 'worker', id: incarnation, ...worker, capabilities: [...capabilities], running: [...running] };
}
