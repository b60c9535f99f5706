/** A definition with more tasks is refused (`too-many-tasks`). */
export const MAX_TASKS = 100_000;
/** The text of a definition, in bytes of UTF-8; a longer one is refused unread (`too-large`). */
export const MAX_DEFINITION_BYTES = 16 * 1024 * 1024;
/** How deep lists and maps may stand inside each other. */
export const MAX_DEPTH = 100;
/** Values in a definition, aliases counted as often as they are used. */
export const MAX_VALUES = 5_000_000;
/** Losses that `onLost` may allow. */
export const MAX_ALLOWED_LOSSES = 1000;
/** Subtasks that `broadcast.parallel` and `broadcast.maxFailed` may name. */
export const MAX_SUBTASKS = 100_000;
/** The task types that may be broadcast: those that do something with the worker that they run on. */
export const BROADCAST_TYPES: readonly string[] = ['shell', 'python', 'node', 'processor'];
/** Instances of one workflow that `concurrency.limit` may let go at once. */
export const MAX_CONCURRENCY_LIMIT = 10_000;
/** Further issues of one definition are only counted. */
export const MAX_ISSUES = 500;
/** The shortest time between two fires of one trigger. */
export const MIN_FIRE_INTERVAL_MS = 100;
/** A fire that is later than this counts as missed, where the trigger says nothing else. */
export const DEFAULT_MISFIRE_THRESHOLD_MS = 60_000;
/** Triggers of one workflow. */
export const MAX_TRIGGERS = 1000;
/** The calendars that one trigger may name. */
export const MAX_CALENDARS_OF_TRIGGER = 20;
/** A fire is put off by at most this much. */
export const MAX_JITTER_MS = 86_400_000;
/** Entries of one calendar. */
export const MAX_CALENDAR_DAYS = 10_000;
