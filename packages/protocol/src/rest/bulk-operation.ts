import { z } from 'zod';
import { instanceCriteria, instanceState } from './instance.ts';
import { instanceOperation, priorityRequest, recoverRequest, rerunRequest } from './instance-operation.ts';
import { id, name, taskId, time } from './scalar.ts';

export const MAX_BULK = 500;
export const DEFAULT_BULK = 100;

/** All of it has to hold. At least one of its fields is needed: nothing means everything here. */
export const bulkFilter = instanceCriteria.extend({ ids: z.array(id).min(1).max(MAX_BULK).optional() });
export type BulkFilter = z.infer<typeof bulkFilter>;

const common = {
  filter: bulkFilter,
  /** True: answer what would be, and do nothing. */
  dryRun: z.boolean().default(false),
  /** How many instances at most, the newest first; `next` says where to go on. */
  limit: z.int().min(1).max(MAX_BULK).default(DEFAULT_BULK),
  cursor: z.string().min(1).max(512).optional(),
};

const plain = <Operation extends 'pause' | 'resume' | 'stop'>(operation: Operation) =>
  z.strictObject({ operation: z.literal(operation), ...common });
const ofTask = <Operation extends 'skip' | 'force-success'>(operation: Operation) =>
  z.strictObject({ operation: z.literal(operation), task: taskId, ...common });

/**
 * `POST instances/operations`: one operation on many instances. Each is answered for itself: there is no "all or nothing", and what came
 * before a failure stays.
 */
export const bulkRequest = z.discriminatedUnion('operation', [
  plain('pause'),
  plain('resume'),
  plain('stop'),
  z.strictObject({
    operation: z.literal('rerun'),
    ...rerunRequest.omit({ generation: true }).shape,
    ...common,
  }),
  z.strictObject({
    operation: z.literal('recover'),
    ...recoverRequest.omit({ generation: true }).shape,
    ...common,
  }),
  ofTask('skip'),
  ofTask('force-success'),
  z.strictObject({ operation: z.literal('priority'), ...priorityRequest.shape, ...common }),
]);
export type BulkRequest = z.infer<typeof bulkRequest>;
/** As a client writes it: what has a default may be left out. */
export type BulkInput = z.input<typeof bulkRequest>;

/** What became of one instance; in a dry run: what would. */
export const bulkItem = z
  .object({
    id,
    /** Null for an id that is none. */
    project: name.nullable(),
    workflow: name.nullable(),
    runTime: time.nullable(),
    /** Before the operation. */
    state: instanceState.nullable(),
    outcome: z.enum(['requested', 'already', 'refused']),
    /** Of a refusal: the code and the words that a single call would have been answered with. */
    code: z.string().nullable(),
    message: z.string().nullable(),
  })
  .meta({ id: 'BulkItem' });
export type BulkItem = z.infer<typeof bulkItem>;

export const bulkResponse = z
  .object({
    operation: instanceOperation,
    dryRun: z.boolean(),
    items: z.array(bulkItem),
    /** Null: no other instance fits the filter. */
    next: z.string().nullable(),
  })
  .meta({ id: 'BulkResponse' });
export type BulkResponse = z.infer<typeof bulkResponse>;
