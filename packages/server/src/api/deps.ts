import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { FollowupKind, Store } from '@keelson/store';
import type { TaskType } from '@keelson/tasks';

/** What the api role needs of its surroundings. */
export interface ApiDeps {
  readonly store: Store;
  readonly log: Logger;
  /** Tells the masters, after a commit, that there is a command, or something that has to follow. */
  readonly wake: { command(): void; followup(kind: FollowupKind): void };
  readonly version: string;
  readonly taskTypes: ReadonlyMap<string, TaskType>;
  /** Throws unless this process can serve; default: the database answers. */
  checkReady?(): Promise<void>;
  /** True: it takes no new work and is about to end; default: never. */
  draining?(): boolean;
  /** Where the roles of this process put their figures; default: a registry of the api's own. */
  readonly metrics?: Registry;
}

/** The api's own scope of the server's Fastify application: schemas are zod's. */
export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;
