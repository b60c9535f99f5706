import { z } from 'zod';

import { DATE_PATTERN, keys, NAME_PATTERN, WEEKDAYS_PATTERN, YEARLY_PATTERN } from './file-schema.ts';

const date = z.string().regex(DATE_PATTERN);
const name = z.string().min(1).max(200).optional().describe('The name of the day, as previews show it');

/** Exactly one of date, from with to, yearly and weekdays; code checks it, so that a mistake gets better words than a union's. */
const exclusion = keys({
  date: date.optional().describe('One day'),
  from: date.optional().describe('The first of several days'),
  to: date.optional().describe('The last of them'),
  yearly: z.string().regex(YEARLY_PATTERN).optional().describe('The same day of every year: MM-DD'),
  weekdays: z
    .array(z.string().regex(WEEKDAYS_PATTERN))
    .min(1)
    .optional()
    .describe('MON … SUN or ranges such as SAT-SUN'),
  name,
});

const inclusion = keys({ date, name });

/** A calendar as it is written in a file. */
export const calendarSchema = keys({
  $schema: z.string().optional(),
  name: z.string().regex(NAME_PATTERN).optional(),
  title: z.string().optional(),
  description: z.string().optional(),
  exclude: z.array(exclusion).optional().describe('Days without fires'),
  include: z.array(inclusion).optional().describe('Days that have fires although they are excluded'),
});

export type CalendarFile = z.infer<typeof calendarSchema>;
export type ExclusionFile = z.infer<typeof exclusion>;
