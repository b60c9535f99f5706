import { z } from 'zod';
import { parseDuration } from '@keelson/core';
import { ApiError, pageOf, putWorkerGroupRequest, registerRequest, workerGroup } from '@keelson/protocol';
import { StoreError } from '@keelson/store';
import type { Api, ApiDeps } from './deps.ts';

export function workerGroupRoutes(api: Api, { store, log }: ApiDeps): void {
  api.get(
    '/api/v1/worker-groups',
    {
      config: { permission: 'nodes:read' },
      schema: { summary: 'List the worker groups and their leases', response: { 200: pageOf(workerGroup) } },
    },
    async () => ({ items: await store.nodes.groups(), next: null }),
  );
  api.put(
    '/api/v1/worker-groups/:group',
    {
      config: { permission: 'nodes:write' },
      schema: {
        summary: 'Set the lease of a worker group; it holds for workers that register from now on',
        params: z.object({ group: registerRequest.shape.group }),
        body: putWorkerGroupRequest,
        response: { 200: workerGroup },
      },
    },
    async ({ params: { group }, body: { lease } }) => {
      const leaseMs = parseDuration(lease);
      if (leaseMs === undefined)
        throw new ApiError('invalid-request', `lease: ${JSON.stringify(lease)} is no duration; 30s and 2m are`);
      const set = await store.nodes.setLease(group, leaseMs).catch((error: unknown) => {
        if (error instanceof StoreError && error.code === 'invalid-lease')
          throw new ApiError('invalid-request', `lease: ${error.message}`);
        throw error;
      });
      log.info({ group, leaseMs }, 'the lease of a worker group was set');
      return set;
    },
  );
}
