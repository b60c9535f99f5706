import type { FastifyReply, FastifyRequest } from 'fastify';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Api, ApiDeps } from './deps.ts';

/** `/metrics` in Prometheus text format, and the figures of the api itself. */
export function metricRoutes(api: Api, { store, metrics }: ApiDeps): void {
  const registry = metrics ?? ownRegistry();
  const duration = new Histogram({
    name: 'keelson_http_request_duration_seconds',
    help: 'Time from a request to the end of its answer, by route',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  const slots = new Gauge({
    name: 'keelson_worker_slots',
    help: 'Slots of live workers',
    labelNames: ['group'],
    registers: [registry],
  });
  const inUse = new Gauge({
    name: 'keelson_worker_slots_in_use',
    help: 'Slots of live workers that hold a task',
    labelNames: ['group'],
    registers: [registry],
  });

  api.addHook('onResponse', async (request: FastifyRequest, reply: FastifyReply) => {
    const route = request.is404 ? 'unknown' : (request.routeOptions.url ?? 'unknown');
    duration.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000);
  });
  api.get(
    '/metrics',
    { config: { permission: 'metrics:read' }, schema: { summary: 'Figures for Prometheus', produces: ['text/plain'] } },
    async (_request, reply) => {
      slots.reset();
      inUse.reset();
      for (const worker of await store.nodes.workers()) {
        slots.inc({ group: worker.group }, worker.slots);
        inUse.inc({ group: worker.group }, worker.inUse);
      }
      return reply.type(registry.contentType).send(await registry.metrics());
    },
  );
}

function ownRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'keelson_' });
  return registry;
}
