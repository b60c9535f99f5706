import type {
  FiresResponse,
  Page,
  PutCalendarResponse,
  RestCalendar,
  RestFireOutcome,
  RestScheduleChange,
  Schedule,
  SchedulePreviewResponse,
} from '@keelson/protocol';
import type { PageRequest } from './client-definitions.ts';
import type { Send } from './client-transport.ts';
import { readJson } from './client-transport.ts';

export interface ScheduleFilter extends PageRequest {
  readonly project?: string | undefined;
  readonly workflow?: string | undefined;
  readonly trigger?: string | undefined;
  readonly state?: Schedule['state'] | undefined;
}

export interface FireFilter extends PageRequest {
  readonly outcome?: RestFireOutcome | undefined;
  /** RFC 3339; due at this time or later. */
  readonly from?: string | undefined;
  /** RFC 3339; due before. */
  readonly to?: string | undefined;
}

export interface PreviewQuery {
  readonly from?: string | undefined;
  /** Fires of each trigger. */
  readonly count?: number | undefined;
  readonly trigger?: string | undefined;
}

/** Calls about what starts workflows by the clock. */
export function scheduleCalls(send: Send) {
  const get = async <Body>(path: string, query: object = {}) =>
    readJson<Body>(await send('GET', path, { query: { ...query } }));
  const project = (name: string): string => `api/v1/projects/${encodeURIComponent(name)}`;
  const change = async (what: 'pause' | 'resume', owner: string, workflow: string, trigger?: string) => {
    const path = `${project(owner)}/workflows/${encodeURIComponent(workflow)}/schedules/${what}`;
    const json = trigger === undefined ? {} : { trigger };
    const { items } = await readJson<{ items: RestScheduleChange[] }>(
      await send('POST', path, { json, repeatable: true }),
    );
    return items;
  };
  const calendar = (owner: string, name: string): string => `${project(owner)}/calendars/${encodeURIComponent(name)}`;
  return {
    listSchedules: (filter: ScheduleFilter = {}) => get<Page<Schedule>>('api/v1/schedules', filter),
    /** The next times of the latest version's triggers, and why others are left out. `from`: RFC 3339, inclusive. */
    previewSchedules: (owner: string, workflow: string, query: PreviewQuery = {}) =>
      get<SchedulePreviewResponse>(
        `${project(owner)}/workflows/${encodeURIComponent(workflow)}/schedule-preview`,
        query,
      ),
    getSchedule: (id: string) => get<Schedule>(`api/v1/schedules/${encodeURIComponent(id)}`),
    /** Latest first. */
    listFires: (id: string, filter: FireFilter = {}) =>
      get<FiresResponse>(`api/v1/schedules/${encodeURIComponent(id)}/fires`, filter),
    /** Of one trigger of a workflow, or of all. */
    pauseSchedules: (owner: string, workflow: string, trigger?: string) => change('pause', owner, workflow, trigger),
    resumeSchedules: (owner: string, workflow: string, trigger?: string) => change('resume', owner, workflow, trigger),
    listCalendars: (owner: string) => get<Page<RestCalendar>>(`${project(owner)}/calendars`),
    getCalendar: (owner: string, name: string) => get<RestCalendar>(calendar(owner, name)),
    /** @param source YAML or JSON */
    async putCalendar(owner: string, name: string, source: string): Promise<PutCalendarResponse> {
      const text = { body: source, contentType: 'application/yaml' };
      return readJson(await send('PUT', calendar(owner, name), { text, repeatable: true }));
    },
    async deleteCalendar(owner: string, name: string): Promise<void> {
      await send('DELETE', calendar(owner, name));
    },
  };
}
