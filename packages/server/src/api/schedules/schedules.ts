import { z } from 'zod';
import {
  ApiError,
  fireListQuery,
  firesResponse,
  pageOf,
  scalar,
  schedule,
  scheduleChangeRequest,
  scheduleChangeResponse,
  scheduleListQuery,
} from '@keelson/protocol';
import type { Fire, RestScheduleChange, RestScheduleEvent, Schedule } from '@keelson/protocol';
import type { FireInfo, ScheduleChange, ScheduleEvent, ScheduleInfo } from '@keelson/store';
import { callerName } from '../http/authenticate.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { restPage } from '../http/rest-page.ts';

const named = z.object({ project: scalar.name, workflow: scalar.name });
const byId = z.object({ id: scalar.id });
/** On the first page of its fires. */
const MOST_EVENTS = 50;

export function scheduleRoutes(api: Api, deps: ApiDeps): void {
  readRoutes(api, deps);
  changeRoute(api, deps, 'pause', 'Pause schedules of a workflow; it outlives every version');
  changeRoute(api, deps, 'resume', 'Resume schedules of a workflow; what was due meanwhile is not made up for');
}

function readRoutes(api: Api, { store }: ApiDeps): void {
  api.get(
    '/api/v1/schedules',
    {
      config: { permission: 'schedules:read' },
      schema: {
        summary: 'List schedules by project, workflow and trigger, with their next time and their last fire',
        querystring: scheduleListQuery,
        response: { 200: pageOf(schedule) },
      },
    },
    async ({ query }) => restPage(await store.schedules.list(query, query), restSchedule),
  );
  api.get(
    '/api/v1/projects/:project/workflows/:workflow/schedules',
    {
      config: { permission: 'schedules:read' },
      schema: {
        summary: 'List the schedules of a workflow',
        params: named,
        querystring: scheduleListQuery.omit({ project: true, workflow: true }),
        response: { 200: pageOf(schedule) },
      },
    },
    async ({ params, query }) => restPage(await store.schedules.list({ ...query, ...params }, query), restSchedule),
  );
  api.get(
    '/api/v1/schedules/:id',
    {
      config: { permission: 'schedules:read' },
      schema: { summary: 'Read a schedule', params: byId, response: { 200: schedule } },
    },
    async ({ params }) => restSchedule(await find(store, params.id)),
  );
  api.get(
    '/api/v1/schedules/:id/fires',
    {
      config: { permission: 'schedules:read' },
      schema: {
        summary: 'List what became of the times of a schedule, latest first, and what people did with it',
        params: byId,
        querystring: fireListQuery,
        response: { 200: firesResponse },
      },
    },
    async ({ params, query }) => {
      await find(store, params.id);
      const page = restPage(await store.schedules.fires(params.id, query, query), restFire);
      const events = query.cursor === undefined ? await store.schedules.events(params.id, MOST_EVENTS) : [];
      return { ...page, events: events.map(restEvent) };
    },
  );
}

function changeRoute(api: Api, { store, wake }: ApiDeps, change: 'pause' | 'resume', summary: string): void {
  api.post(
    `/api/v1/projects/:project/workflows/:workflow/schedules/${change}`,
    {
      config: { permission: 'schedules:pause' },
      // Without a body: all of them.
      preValidation: async (request) => void (request.body ??= {}),
      schema: { summary, params: named, body: scheduleChangeRequest, response: { 200: scheduleChangeResponse } },
    },
    async (request) => {
      const { project, workflow: name } = request.params;
      const { trigger } = request.body;
      const items = await store.schedules[change]({ project, name }, trigger, callerName(request));
      wake.followup('schedule');
      return { items: items.map(restChange) };
    },
  );
}

async function find(store: ApiDeps['store'], id: string): Promise<ScheduleInfo> {
  const found = await store.schedules.get(id);
  if (found === undefined) throw new ApiError('unknown-schedule', `there is no schedule ${id}`);
  return found;
}

function restSchedule({ triggerId, trigger, lastFire, ...info }: ScheduleInfo): Schedule {
  const definition = JSON.parse(JSON.stringify(trigger)) as Schedule['definition'];
  return { ...info, trigger: triggerId, definition, lastFire: lastFire && restFire(lastFire) };
}

const restFire = (fire: FireInfo): Fire => ({ ...fire });
const restEvent = (event: ScheduleEvent): RestScheduleEvent => ({ ...event });
const restChange = ({ triggerId, ...change }: ScheduleChange): RestScheduleChange => ({
  ...change,
  trigger: triggerId,
});
