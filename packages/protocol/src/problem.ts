import { z } from 'zod';
import { definitionIssue } from './rest/issue.ts';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

interface CatalogueEntry {
  readonly status: number;
  readonly title: string;
  /** What the client can do about it; sent along as `advice`. */
  readonly advice: string;
}

/** Every error that the REST API and the worker gateway answer with. A code never changes its meaning. */
export const PROBLEMS = {
  'malformed-body': { status: 400, title: 'The body cannot be read', advice: 'Send valid JSON in UTF-8.' },
  'malformed-request': { status: 400, title: 'The request cannot be read', advice: 'Check the URL and the headers.' },
  unauthenticated: {
    status: 401,
    title: 'No valid token',
    advice: 'Send `Authorization: Bearer TOKEN`; an admin makes tokens with `keelson token create`.',
  },
  forbidden: {
    status: 403,
    title: 'The token may not do this',
    advice: 'Use a token of a role that has the permission named here.',
  },
  'not-found': { status: 404, title: 'There is no such thing', advice: 'Check the names in the URL.' },
  'unknown-route': {
    status: 404,
    title: 'There is no such route',
    advice: 'See /api/v1/openapi.json for those that exist.',
  },
  'unknown-project': {
    status: 404,
    title: 'There is no such project',
    advice: 'A project exists from the first `apply` on; `keelson workflows` lists what there is.',
  },
  'unknown-workflow': {
    status: 404,
    title: 'There is no such workflow',
    advice: '`keelson workflows` lists those that exist.',
  },
  'unknown-version': {
    status: 404,
    title: 'The workflow has no such version',
    advice: 'GET projects/{p}/workflows/{w}/versions lists them.',
  },
  'unknown-instance': {
    status: 404,
    title: 'There is no such workflow instance',
    advice: '`keelson instances` lists them.',
  },
  'unknown-backfill': {
    status: 404,
    title: 'There is no such backfill',
    advice: '`keelson backfills` lists them.',
  },
  'unknown-task': { status: 404, title: 'The instance has no such task', advice: '`keelson show ID` lists its tasks.' },
  'unknown-task-instance': {
    status: 404,
    title: 'There is no such task instance',
    advice: 'Take the id from the task list of its instance.',
  },
  'unknown-attempt': {
    status: 404,
    title: 'The task has no such attempt',
    advice: 'Its attempts are listed in GET task-instances/{id}.',
  },
  'unknown-artifact': {
    status: 404,
    title: 'The task has no such artifact',
    advice: 'Its artifacts are listed in GET task-instances/{id}.',
  },
  'unknown-schedule': {
    status: 404,
    title: 'There is no such schedule',
    advice: '`keelson schedule list` lists the triggers of each workflow.',
  },
  'unknown-calendar': {
    status: 404,
    title: 'There is no such calendar',
    advice: '`keelson calendar list` lists those of a project; `keelson calendar set NAME FILE` makes one.',
  },
  'unknown-blob': { status: 404, title: 'There is no such blob', advice: 'Upload it with PUT blobs/{sha256}.' },
  'unknown-secret': { status: 404, title: 'There is no such secret', advice: '`keelson secret list` lists the names.' },
  'unknown-datasource': {
    status: 404,
    title: 'There is no such datasource',
    advice: '`keelson datasource list` lists the names.',
  },
  'unknown-token': { status: 404, title: 'There is no such token', advice: 'GET tokens lists them.' },
  conflict: {
    status: 409,
    title: 'It is not in the right state for this',
    advice: 'Look at its state, then try again.',
  },
  'instance-ended': {
    status: 409,
    title: 'The instance has ended',
    advice: 'An end is final; `keelson rerun ID` or `keelson recover ID` begin its next generation.',
  },
  'backfill-ended': {
    status: 409,
    title: 'The backfill has ended',
    advice: 'An end is final; make another one for what is missing: times that have succeeded are left out of it.',
  },
  'instance-queued': {
    status: 409,
    title: 'The instance waits for its turn',
    advice: 'Its workflow is limited: wait until it runs, stop it, or give it another priority.',
  },
  'instance-stopping': {
    status: 409,
    title: 'The instance is being stopped',
    advice: 'A stop cannot be taken back: wait for its end, then rerun or recover it.',
  },
  'instance-live': {
    status: 409,
    title: 'The instance has not ended',
    advice: 'Stop it, or wait for its end; then ask again.',
  },
  'nothing-to-recover': {
    status: 409,
    title: 'Every task of the instance is done',
    advice: 'To run it again use `keelson rerun ID`, from a task on with --from TASK.',
  },
  'generation-changed': {
    status: 409,
    title: 'Somebody has begun another generation',
    advice: 'Look at the instance again; ask without the old generation if it is still wanted.',
  },
  'task-not-failed': {
    status: 409,
    title: 'The task did not fail',
    advice: 'Only a task that failed, was stopped or lost can be forced to success.',
  },
  'task-running': {
    status: 409,
    title: 'The task has been given to a worker',
    advice: 'Wait for its end or stop the instance; a task can be skipped before it starts.',
  },
  'task-ended': {
    status: 409,
    title: 'The task has ended',
    advice: 'An end is final. When the instance has ended: rerun, recover, or force-success of the task.',
  },
  'missing-blobs': {
    status: 409,
    title: 'Files are missing',
    advice: 'Upload the blobs named here with PUT blobs/{sha256}, then apply again.',
  },
  'workflow-busy': {
    status: 409,
    title: 'The workflow has instances under way',
    advice: 'Stop them or wait for their end.',
  },
  'missing-calendar': {
    status: 409,
    title: 'A trigger names a calendar that the project does not have',
    advice: 'Set it with `keelson calendar set NAME FILE`, then apply again.',
  },
  'calendar-in-use': {
    status: 409,
    title: 'Schedules name the calendar',
    advice: 'Take it out of their triggers and apply; then delete it.',
  },
  'body-too-large': { status: 413, title: 'The body is too large', advice: 'Keep within the limit named here.' },
  'headers-too-large': {
    status: 431,
    title: 'The headers of the request are too large',
    advice: 'Send fewer or shorter headers.',
  },
  'unsupported-media-type': {
    status: 415,
    title: 'The body has a media type that this route does not take',
    advice: 'Send one of the types named here.',
  },
  'instance-archived': {
    status: 410,
    title: 'Retention has removed the instance',
    advice: 'Start a new one, for the same time with `keelson run NAME --at TIME`.',
  },
  'empty-filter': {
    status: 422,
    title: 'The filter names no instances',
    advice: 'Give ids, project, workflow, state, trigger, or a range of createdFrom, createdTo, runFrom, runTo.',
  },
  'contradictory-request': {
    status: 422,
    title: 'Two fields of the request exclude each other',
    advice: 'Leave one of them out.',
  },
  'backfill-bad-date': {
    status: 422,
    title: 'A date of the backfill is none',
    advice: 'Dates are local ones, such as 2026-01-31, of the zone of the trigger or the workflow.',
  },
  'backfill-bad-range': {
    status: 422,
    title: 'The range of the backfill ends before it begins',
    advice: 'Both dates are included; `--order descending` begins with the last one.',
  },
  'backfill-in-future': {
    status: 422,
    title: 'The backfill reaches into the future',
    advice: 'A backfill is for times that are past; schedules run what is to come.',
  },
  'backfill-too-large': {
    status: 422,
    title: 'The backfill would have too many runs',
    advice: 'Divide the range: one backfill has at most 100,000 runs, those of dependents included.',
  },
  'backfill-empty': {
    status: 422,
    title: 'The backfill has no times',
    advice: 'Look at the times of the trigger with `keelson schedule preview NAME --from DATE`.',
  },
  'backfill-which-trigger': {
    status: 422,
    title: 'It is not clear whose times are meant',
    advice: "Name one of the workflow's triggers: `--trigger ID`.",
  },
  'dependency-cycle': {
    status: 422,
    title: 'Workflows depend on each other in a circle',
    advice: 'Take one of these names out of its `dependsOn`.',
  },
  'unknown-dependency': {
    status: 422,
    title: 'A workflow depends on one that there is not',
    advice: 'Apply that one first or together with it, or take its name out of `dependsOn`.',
  },
  'invalid-request': {
    status: 422,
    title: 'The request does not fit its schema',
    advice: 'Correct the fields named here; /api/v1/openapi.json has the schema.',
  },
  'invalid-cursor': {
    status: 422,
    title: 'The cursor is not one of this list',
    advice: 'Use the `next` of a page, unchanged, or start without a cursor.',
  },
  'invalid-definition': {
    status: 422,
    title: 'The workflow definition has errors',
    advice: 'Correct the issues listed here; nothing was stored.',
  },
  'invalid-calendar': {
    status: 422,
    title: 'The calendar has errors',
    advice: 'Correct the issues listed here; nothing was stored.',
  },
  'invalid-params': {
    status: 422,
    title: 'The parameters do not fit the workflow',
    advice: 'Correct the parameters named here; nothing was started.',
  },
  'name-mismatch': { status: 422, title: 'The definition has another name than the URL', advice: 'Make them equal.' },
  'duplicate-workflow': {
    status: 422,
    title: 'Two files of the bundle define the same workflow',
    advice: 'Give one of them another name.',
  },
  'files-need-apply': {
    status: 422,
    title: 'The definition names files',
    advice: 'Use `keelson apply`, which uploads them.',
  },
  'hash-mismatch': {
    status: 422,
    title: 'The content does not have the hash that names it',
    advice: 'Compute the SHA-256 of exactly the octets that you send.',
  },
  'idempotency-key-conflict': {
    status: 422,
    title: 'The idempotency key was used for another request',
    advice: 'Use a new key for a new request.',
  },
  'invalid-blob-name': {
    status: 422,
    title: 'A blob is named by its SHA-256',
    advice: 'Use 64 hexadecimal digits, lower case.',
  },
  'invalid-name': {
    status: 422,
    title: 'The name has a form that is not allowed',
    advice: 'Use a name of the form given here.',
  },
  'invalid-retention': {
    status: 422,
    title: 'The rule of retention cannot be set so',
    advice: 'Use a duration of at least 1h, or forever; `keelson retention show` lists the rules.',
  },
  'password-required': {
    status: 422,
    title: 'The datasource moves to another server',
    advice: 'Send its password again: a stored one does not follow it there.',
  },
  'password-in-config': {
    status: 422,
    title: 'The password stands in the configuration',
    advice: 'Send it as `password`: only that field is encrypted.',
  },
  'no-secret-key': {
    status: 503,
    title: 'The server has no key for secrets',
    advice: 'Start it with KEELSON_SECRET_KEY or KEELSON_SECRET_KEY_FILE.',
  },
  'wrong-secret-key': {
    status: 503,
    title: 'The server has another key than the one that encrypted this',
    advice: 'Start it with the right KEELSON_SECRET_KEY, or set the value again.',
  },
  'too-many-requests': { status: 429, title: 'Too much at once', advice: 'Wait a moment and try again.' },
  internal: {
    status: 500,
    title: 'Something went wrong inside',
    advice: 'The server log has the cause under the id named here.',
  },
  'database-unavailable': {
    status: 503,
    title: 'The database does not answer',
    advice: 'Try again; a start with an Idempotency-Key can be repeated safely.',
  },
  unavailable: {
    status: 503,
    title: 'Something that the server needs is not there',
    advice: 'See what is named here; try again later.',
  },
  'not-ready': { status: 503, title: 'The server is not ready', advice: 'Wait; the reason is named here.' },
  draining: {
    status: 503,
    title: 'The server takes no new work',
    advice: 'It is about to end: call another server, or the same again in a moment.',
  },
  'lease-expired': {
    status: 409,
    title: 'The lease of this worker incarnation has run out',
    advice: 'Kill everything and register anew.',
  },
  'unknown-incarnation': {
    status: 410,
    title: 'There is no such worker incarnation',
    advice: 'Kill everything and register anew.',
  },
  'unsupported-protocol': {
    status: 422,
    title: 'The worker speaks a protocol version that this server does not',
    advice: "Use a worker of the server's release; upgrade the servers before the workers.",
  },
} as const satisfies Record<string, CatalogueEntry>;

export type ProblemCode = keyof typeof PROBLEMS;

export const fieldError = z
  .object({
    /** Where: `body.params.day`, `query.limit`, `params.day`. */
    path: z.string(),
    code: z.string(),
    message: z.string(),
  })
  .meta({ id: 'FieldError' });
export type FieldError = z.infer<typeof fieldError>;

/** An RFC 9457 problem. `code` is stable; `detail` is for people. */
export const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string().optional(),
    advice: z.string().optional(),
    /** For `invalid-request` and `invalid-params`. */
    errors: z.array(fieldError).optional(),
    /** For `invalid-definition`. */
    issues: z.array(definitionIssue).optional(),
    /** For `missing-blobs`. */
    missing: z.array(z.string()).optional(),
    /** For `internal`: also in the server's log. */
    errorId: z.string().optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problem>;

export type ProblemExtra = Pick<Problem, 'errors' | 'issues' | 'missing' | 'errorId'>;

/** An error that is an answer: thrown by a handler, sent as its problem+json. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ProblemCode;
  readonly problem: Problem;

  constructor(code: ProblemCode, detail: string, extra: ProblemExtra = {}) {
    super(detail);
    this.code = code;
    this.problem = makeProblem(code, detail, extra);
  }

  get status(): number {
    return this.problem.status;
  }
}

export function makeProblem(code: ProblemCode, detail?: string, extra: ProblemExtra = {}): Problem {
  const { status, title, advice } = PROBLEMS[code];
  return {
    type: `urn:keelson:problem:${code}`,
    title,
    status,
    code,
    ...(detail !== undefined && { detail }),
    advice,
    ...extra,
  };
}
