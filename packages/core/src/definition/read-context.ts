import type { ValuePath } from '../expression/evaluate.ts';
import type { Report } from './report.ts';
import type { TaskTypes } from './task-type-like.ts';

export interface DefinitionOptions {
  readonly taskTypes: TaskTypes;
  /** The project of a definition that names none. */
  readonly defaultProject?: string;
  /** With it, a trigger whose times are all past is warned of. */
  readonly nowMs?: number;
}

/** What the readers of the sections share. */
export interface ReadContext extends DefinitionOptions {
  readonly report: Report;
  /** A scalar as the text writes it; undefined when there is no text. */
  readonly writtenAt: (path: ValuePath) => string | undefined;
}
