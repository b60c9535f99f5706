import { z } from 'zod';
import { MAX_DEFINITION_BYTES, parseCalendar } from '@keelson/core';
import type { CalendarDefinition } from '@keelson/core';
import { ApiError, calendar, pageOf, putCalendarResponse, scalar } from '@keelson/protocol';
import type { RestCalendar } from '@keelson/protocol';
import type { CalendarInfo } from '@keelson/store';
import { callerName } from '../http/authenticate.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { acceptSource } from '../definitions/source-body.ts';

const project = z.object({ project: scalar.name });
const named = project.extend({ calendar: scalar.name });

export function calendarRoutes(api: Api, deps: ApiDeps): void {
  readRoutes(api, deps);
  deleteRoute(api, deps);
  // In a scope of its own: the body is the calendar's text, YAML or JSON.
  void api.register(async (scope: Api) => {
    acceptSource(scope);
    putRoute(scope, deps);
  });
}

function readRoutes(api: Api, { store: { calendars } }: ApiDeps): void {
  api.get(
    '/api/v1/projects/:project/calendars',
    {
      config: { permission: 'schedules:read' },
      schema: { summary: 'List the calendars of a project', params: project, response: { 200: pageOf(calendar) } },
    },
    async ({ params }) => ({ items: (await calendars.list(params.project)).map(restCalendar), next: null }),
  );
  api.get(
    '/api/v1/projects/:project/calendars/:calendar',
    {
      config: { permission: 'schedules:read' },
      schema: { summary: 'Read a calendar', params: named, response: { 200: calendar } },
    },
    async ({ params }) => {
      const found = await calendars.get(params.project, params.calendar);
      if (found === undefined) throw unknown(params);
      return restCalendar(found);
    },
  );
}

function putRoute(api: Api, { store, wake }: ApiDeps): void {
  api.put(
    '/api/v1/projects/:project/calendars/:calendar',
    {
      config: { permission: 'calendars:write' },
      bodyLimit: MAX_DEFINITION_BYTES,
      schema: {
        summary: 'Make or replace a calendar; the next times of the schedules that name it are computed anew',
        consumes: ['application/yaml', 'application/json'],
        params: named,
        body: z.string(),
        response: { 200: putCalendarResponse },
      },
    },
    async (request) => {
      const { params, body } = request;
      const definition = readCalendar(body, params.calendar);
      const answer = await store.calendars.set(params.project, definition, callerName(request));
      wake.followup('schedule');
      return answer;
    },
  );
}

function deleteRoute(api: Api, { store }: ApiDeps): void {
  api.delete(
    '/api/v1/projects/:project/calendars/:calendar',
    {
      config: { permission: 'calendars:write' },
      schema: { summary: 'Delete a calendar that no schedule names', params: named, response: { 204: z.undefined() } },
    },
    async ({ params }, reply) => {
      if (!(await store.calendars.delete(params.project, params.calendar))) throw unknown(params);
      return reply.code(204).send();
    },
  );
}

function readCalendar(text: string, name: string): CalendarDefinition {
  const { calendar: definition, issues } = parseCalendar(text, name);
  if (definition !== undefined) return definition;
  const errors = issues.filter(({ severity }) => severity === 'error');
  const [first] = errors;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  const place = first === undefined ? '' : [first.line, first.column].filter((part) => part !== undefined).join(':');
  const where = [place, first?.path].filter((part) => part !== undefined && part !== '').join(': ');
  const message = first === undefined ? 'the calendar cannot be read' : `${where}: ${first.message}${more}`;
  throw new ApiError('invalid-calendar', message.replace(/^: /, ''), { issues: [...issues] });
}

function restCalendar({ project: owner, definition, ...info }: CalendarInfo): RestCalendar {
  const { name, title = null, description = null } = definition;
  const content = JSON.parse(JSON.stringify(definition)) as RestCalendar['definition'];
  return { project: owner, name, title, description, definition: content, ...info };
}

function unknown({ project: owner, calendar: name }: z.infer<typeof named>): ApiError {
  return new ApiError('unknown-calendar', `project ${owner} has no calendar ${name}`);
}
