import { z } from 'zod';
import { compileCalendar, previewTrigger } from '@keelson/core';
import { ApiError, scalar, schedulePreviewQuery, schedulePreviewResponse } from '@keelson/protocol';
import type { RestTriggerPreview } from '@keelson/protocol';
import type { Api, ApiDeps } from '../deps.ts';
import { unknownVersion } from '../definitions/workflows.ts';

const named = z.object({ project: scalar.name, workflow: scalar.name });

/** What the triggers of a workflow's latest version will do. It says nothing of pauses: those are not in a version. */
export function schedulePreviewRoute(api: Api, { store }: ApiDeps): void {
  api.get(
    '/api/v1/projects/:project/workflows/:workflow/schedule-preview',
    {
      config: { permission: 'schedules:read' },
      schema: {
        summary: 'Show the next times of the triggers of a workflow, and why others are left out',
        params: named,
        querystring: schedulePreviewQuery,
        response: { 200: schedulePreviewResponse },
      },
    },
    async ({ params, query: { from, count, trigger: only } }) => {
      const { project, workflow: name } = params;
      const found = await store.definitions.get({ project, name });
      if (found === undefined) throw await unknownVersion(store, params, undefined);
      const triggers = found.definition.triggers.filter(({ id }) => only === undefined || id === only);
      if (only !== undefined && triggers.length === 0)
        throw new ApiError('unknown-schedule', `${project}/${name} has no trigger ${only}`);
      const names = [...new Set(triggers.flatMap(({ calendars }) => calendars ?? []))];
      const definitions = names.length === 0 ? [] : await store.calendars.definitions(project, names);
      const calendars = new Map(definitions.map((definition) => [definition.name, compileCalendar(definition)]));
      const fromMs = from === undefined ? Date.now() : Date.parse(from);
      const items = triggers.map((trigger): RestTriggerPreview => {
        const preview = previewTrigger(trigger, fromMs, count, calendars);
        const definition = JSON.parse(JSON.stringify(trigger)) as RestTriggerPreview['definition'];
        return { ...preview, definition, unknownCalendars: [...preview.unknownCalendars], rows: [...preview.rows] };
      });
      return { items };
    },
  );
}
