import {
  alert,
  alertListQuery,
  doctorRepairs,
  doctorReport,
  node,
  pageOf,
  serverInfo,
  SPOKEN_PROTOCOLS,
  verifyQuery,
  verifyReport,
} from '@keelson/protocol';
import type { DoctorReport, Node } from '@keelson/protocol';
import { knownSchemaVersion } from '@keelson/store';
import type { ServerNode, Store, WorkerNode } from '@keelson/store';
import type { Api, ApiDeps } from './deps.ts';
import { verifyReportOf } from '../verify-report.ts';
import { restPage } from './http/rest-page.ts';

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
    () => doctorReportOf(store),
  );
  api.post(
    '/api/v1/doctor/repair',
    {
      config: { permission: 'doctor:repair' },
      schema: { summary: 'Repair what the doctor can repair safely', response: { 200: doctorRepairs } },
    },
    async ({ caller }) => {
      const repairs = await store.doctor.repair(`doctor (${caller?.name ?? ''})`);
      if (repairs.length > 0) store.signals.send('command');
      return { repairs, left: await doctorReportOf(store) };
    },
  );
  api.get(
    '/api/v1/verify',
    {
      config: { permission: 'doctor:read' },
      schema: {
        summary: 'Fold the stored history and compare it with the rows',
        querystring: verifyQuery,
        response: { 200: verifyReport },
      },
    },
    ({ query }) => verifyReportOf(store.verifier, query),
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

async function doctorReportOf({ doctor }: Pick<Store, 'doctor'>): Promise<DoctorReport> {
  const findings = await doctor.check();
  return {
    healthy: findings.every(({ rows }) => rows.length === 0),
    findings: findings.map(({ pace: _pace, ...finding }) => ({ ...finding, rows: [...finding.rows] })),
  };
}

function restServer({ roles, ...server }: ServerNode): Node {
  return { kind: 'server', ...server, roles: [...roles] };
}

function restWorker({ incarnation, capabilities, running, ...worker }: WorkerNode): Node {
  return { kind: 'worker', id: incarnation, ...worker, capabilities: [...capabilities], running: [...running] };
}
