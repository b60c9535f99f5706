/**
 * The worker protocol, version 1: HTTP/JSON under `/worker/v1`, every exchange begun by the worker. See
 * docs/worker-protocol.md for the walk; the schemas here are the law.
 *
 *   POST register   join token      registerRequest → registerResponse
 *   POST poll       credential      pollRequest → pollResponse       long; one open at a time
 *   POST report     credential      reportRequest → reportResponse   answered after the commit
 *   POST renew      credential      renewRequest → renewResponse     on a connection of its own
 *   POST log?token=…&offset=N       octets → 204                     a repeated offset is ignored
 *   GET|PUT blobs/{sha256}          octets; PUT is idempotent and checks the hash
 *   POST leave      credential      {} → 204                         clean end: what it still holds is lost now
 *
 * Errors are problem+json with a `code`. `lease-expired` and `unknown-incarnation` mean: kill everything, register anew.
 */
import { z } from 'zod';

export const WORKER_PROTOCOL_VERSION = 1;
/** What a server of this release takes; it says so in every answer. */
export const SPOKEN_PROTOCOLS: readonly number[] = [WORKER_PROTOCOL_VERSION];

/**
 * What was added after the first release and may be ignored travels in headers, because bodies are checked strictly on both sides: an
 * older worker and an older server do not notice.
 */
export const WORKER_HEADERS = {
  /** Of every answer: the protocol versions that the server speaks, `1` or `1,2`. */
  protocols: 'keelson-protocols',
  /** Of the answers to `register` and `renew`: base URLs of the servers that the worker may call as well, comma separated. */
  servers: 'keelson-servers',
  /** Of the answer to `renew`, where it is so: a newer worker of the same name has joined, and this one is given nothing more. */
  superseded: 'keelson-superseded',
  /** Of `renew`: the load average of the worker's machine per core, as `0.25`; for people to see. */
  load: 'keelson-load',
  /** Of `report`, from the second time on: how often in a row reports of this worker were sent in vain before. */
  tries: 'keelson-report-tries',
} as const;

const jsonValue = z.json();
const jsonObject = z.record(z.string(), jsonValue);

/** A token names one attempt of one task instance, held by one worker incarnation. Opaque to the worker. */
const token = z.string().min(1).max(256);

export const registerRequest = z.strictObject({
  protocol: z.literal(WORKER_PROTOCOL_VERSION),
  /** Unique among live workers: a second registration under a live name makes a new incarnation, the old one drains. */
  name: z.string().min(1).max(128),
  /** Of the form that a definition's `workerGroup` has: any other could be named by no task. */
  group: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/),
  slots: z.int().min(1).max(10_000),
  /** Task types, and `processor:<name>` for each processor. */
  capabilities: z.array(z.string().min(1).max(200)).max(10_000),
  host: z.string().max(255),
  pid: z.int(),
  version: z.string().max(64),
});
export type RegisterRequest = z.infer<typeof registerRequest>;

export const registerResponse = z.strictObject({
  incarnation: z.string(),
  /** Bearer for every later call of this incarnation; good for its own attempts only. */
  credential: z.string(),
  leaseMs: z.int(),
  renewEveryMs: z.int(),
});
export type RegisterResponse = z.infer<typeof registerResponse>;

/** More than any worker can hold: slots, and the subtasks that wait for one. */
const heldTokens = z.array(token).max(50_000);

export const renewRequest = z.strictObject({
  /** Tokens that the worker holds: received, and their end not yet acknowledged. */
  held: heldTokens,
  /** What processors said of their progress since the last renewal. */
  progress: z
    .array(z.strictObject({ token, fraction: z.number().min(0).max(1), message: z.string().max(500).optional() }))
    .optional(),
});
export type RenewRequest = z.infer<typeof renewRequest>;

export const killOrder = z.strictObject({ token, reason: z.enum(['stop', 'timeout', 'not-active', 'revoked']) });
export type KillOrder = z.infer<typeof killOrder>;

export const renewResponse = z.strictObject({
  /** Counted by the worker from the moment it sent the request that this answers. */
  leaseMs: z.int(),
  kill: z.array(killOrder),
});
export type RenewResponse = z.infer<typeof renewResponse>;

export const failureReason = z.strictObject({
  code: z.string().max(64),
  message: z.string().max(8192),
  exitCode: z.int().optional(),
  signal: z
    .string()
    .regex(/^[A-Za-z0-9+-]{1,32}$/)
    .optional(),
});

export const blobRef = z.strictObject({
  path: z.string().min(1).max(1024),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  size: z.int().min(0),
  mode: z.int().min(0).max(0o777),
});
export type BlobRef = z.infer<typeof blobRef>;

/**
 * Whoever gets the file joins its path to a directory: it must stay below that. Of a report only: in an assignment it is the worker that
 * checks, and fails the one attempt.
 */
const reportedFile = blobRef.extend({
  path: blobRef.shape.path.refine(
    (path) =>
      !/[\\\0]/.test(path) && path.isWellFormed() && path.split('/').every((part) => !['', '.', '..'].includes(part)),
    'must be a plain relative path',
  ),
});

/** No attempt is older than thirty years; what is longer fits no `interval`. */
const agoMs = z.number().min(0).max(1e12);

export const startedReport = z.strictObject({
  kind: z.literal('started'),
  token,
  /** Milliseconds between the start and the sending of this report, by the worker's monotonic clock. */
  startedAgoMs: agoMs,
});

export const endedReport = z.strictObject({
  kind: z.literal('ended'),
  token,
  end: z.enum(['succeeded', 'failed', 'stopped', 'lost']),
  reason: failureReason.optional(),
  outputs: z.record(z.string(), jsonValue).optional(),
  artifacts: z.array(reportedFile).max(10_000).optional(),
  startedAgoMs: agoMs,
  endedAgoMs: agoMs,
  /** The last bytes of the log that no log call has carried yet (base64), at `offset`. */
  log: z.strictObject({ offset: z.int().min(0), data: z.string() }).optional(),
});
export type StartedReport = z.infer<typeof startedReport>;
export type EndedReport = z.infer<typeof endedReport>;

export const report = z.discriminatedUnion('kind', [startedReport, endedReport]);
export type Report = z.infer<typeof report>;

export const reportRequest = z.strictObject({ reports: z.array(report).min(1).max(1000) });
export type ReportRequest = z.infer<typeof reportRequest>;

/** How one subtask of a broadcast ended, for the step `after`. */
export const subtaskResult = z.strictObject({
  worker: z.string(),
  incarnation: z.string(),
  state: z.enum(['succeeded', 'failed', 'lost', 'stopped', 'skipped']),
  outputs: jsonObject,
  reason: failureReason.optional(),
});
export type SubtaskResult = z.infer<typeof subtaskResult>;

/** Which part of a broadcast an attempt is. */
export const broadcastPart = z.discriminatedUnion('phase', [
  z.strictObject({ phase: z.literal('before') }),
  /** It belongs to this worker for life, and holds no slot: the worker starts it when it has one free. */
  z.strictObject({
    phase: z.literal('subtask'),
    /** From 0, and less than `total`. */
    index: z.int(),
    total: z.int(),
    worker: z.string(),
    /** Outputs of the step `before`. */
    before: jsonObject,
  }),
  z.strictObject({ phase: z.literal('after'), total: z.int(), before: jsonObject, results: z.array(subtaskResult) }),
]);
export type BroadcastPart = z.infer<typeof broadcastPart>;

export const assignment = z.strictObject({
  token,
  /** Grows with every attempt; `KEELSON_FENCING_TOKEN`. */
  fencingToken: z.string(),
  instanceId: z.string(),
  workflow: z.string(),
  project: z.string(),
  version: z.int(),
  task: z.string(),
  generation: z.int(),
  attempt: z.int(),
  /** RFC 3339 with the offset of the workflow's zone. */
  runTime: z.string(),
  uses: z.string(),
  /** Rendered. */
  input: jsonObject,
  env: z.record(z.string(), z.string()),
  /** Values to mask in the log. */
  secrets: z.array(z.string()),
  timeout: z.strictObject({ afterMs: z.number(), action: z.enum(['fail', 'warn']) }).optional(),
  /** The version's files, to lie in the working directory. */
  files: z.array(blobRef),
  /** Artifacts of the upstream tasks in `needs`; `path` begins with the task's id. */
  inputs: z.array(blobRef),
  /** Present on the attempts of a broadcast. */
  broadcast: broadcastPart.optional(),
  /** The worker takes it, and starts it only after this; counted from the receipt. */
  startAfterMs: z.number().min(0).optional(),
});
export type Assignment = z.infer<typeof assignment>;

/** Answered after what was reported is committed; carries the next tasks where there are some. */
export const reportResponse = z.strictObject({
  /**
   * The reports of this request under these tokens are settled, starts among them, applied or not: the worker may forget these reports.
   * A token whose start is acknowledged is held until its end is.
   */
  acknowledged: z.array(token),
  assignments: z.array(assignment),
});
export type ReportResponse = z.infer<typeof reportResponse>;

export const pollRequest = z.strictObject({
  held: heldTokens,
  /** How long the gateway may hold the request open when there is nothing to say. */
  waitMs: z.int().min(0).max(60_000),
  /** True: hand out no new task. */
  draining: z.boolean(),
});
export type PollRequest = z.infer<typeof pollRequest>;

export const pollResponse = z.strictObject({ assignments: z.array(assignment), kill: z.array(killOrder) });
export type PollResponse = z.infer<typeof pollResponse>;
