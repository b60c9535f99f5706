/** A named set of days without fires, as a project holds it. */
export interface CalendarDefinition {
  /** `[a-z0-9-]`, unique in its project. */
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  readonly exclude: readonly CalendarEntry[];
  /** Days that have fires although something in `exclude` covers them. */
  readonly include: readonly CalendarDay[];
}

export interface CalendarDay {
  /** `YYYY-MM-DD`. */
  readonly date: string;
  readonly name?: string;
}

/** Exactly one of: a date; a stretch of dates, both inclusive; a day of every year (`MM-DD`); days of the week (1 is Monday). */
export type CalendarEntry =
  | (CalendarDay & { readonly from?: undefined; readonly yearly?: undefined; readonly weekdays?: undefined })
  | {
      readonly from: string;
      readonly to: string;
      readonly name?: string;
      readonly date?: undefined;
      readonly yearly?: undefined;
      readonly weekdays?: undefined;
    }
  | {
      readonly yearly: string;
      readonly name?: string;
      readonly date?: undefined;
      readonly from?: undefined;
      readonly weekdays?: undefined;
    }
  | {
      readonly weekdays: readonly number[];
      readonly name?: string;
      readonly date?: undefined;
      readonly from?: undefined;
      readonly yearly?: undefined;
    };
