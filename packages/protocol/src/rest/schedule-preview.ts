import { z } from 'zod';
import { jsonObject, moment, time } from './scalar.ts';

/** Most fires that one preview shows. */
export const MAX_PREVIEW = 1_000;

/** `from` is inclusive; default: now. `count` fires of each trigger. */
export const schedulePreviewQuery = z.strictObject({
  from: moment.optional(),
  count: z.coerce.number().int().min(1).max(MAX_PREVIEW).default(10),
  trigger: z.string().min(1).max(128).optional(),
});

/** One time of a trigger: it fires, or it is left out. */
export const previewRow = z
  .object({
    dueAt: time,
    /** The same as the trigger's zone shows it (RFC 3339 with offset). */
    local: z.string(),
    /** Why it is left out; absent: it fires. */
    leftOut: z.enum(['calendar', 'before-start', 'after-end', 'clock-change']).optional(),
    message: z.string().optional(),
  })
  .meta({ id: 'PreviewRow' });

export const triggerPreview = z
  .object({
    trigger: z.string(),
    /** As the definition says, normalised. */
    definition: jsonObject,
    timezone: z.string(),
    enabled: z.boolean(),
    /** Fires start up to so many milliseconds later. */
    jitterMs: z.int(),
    /** Calendars that the project does not have: their days are not left out. */
    unknownCalendars: z.array(z.string()),
    rows: z.array(previewRow),
  })
  .meta({ id: 'TriggerPreview' });
export type RestTriggerPreview = z.infer<typeof triggerPreview>;

export const schedulePreviewResponse = z.object({ items: z.array(triggerPreview) }).meta({ id: 'SchedulePreview' });
export type SchedulePreviewResponse = z.infer<typeof schedulePreviewResponse>;
