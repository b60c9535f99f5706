import { ApiError } from '@keelson/protocol';
import type { RegisterRequest, RegisterResponse } from '@keelson/protocol';
import type { MasterContext } from '../context.ts';
import { noteReady } from '../line.ts';
import { hashCredential } from './authenticate.ts';

/** Two may fail before the lease is in danger. */
const RENEWALS_PER_LEASE = 4;

/** @throws {ApiError} `unauthenticated` or `forbidden` */
export async function checkJoinToken({ store }: MasterContext, token: string): Promise<void> {
  const holder = token === '' ? undefined : await store.tokens.verify(token);
  if (holder === undefined) throw new ApiError('unauthenticated', 'the join token is unknown, expired or revoked');
  if (holder.role !== 'worker' && holder.role !== 'admin')
    throw new ApiError('forbidden', `a token of the role ${holder.role} cannot join as a worker`);
}

/** A worker joins: a new incarnation, with a credential of its own. */
export async function register(context: MasterContext, request: RegisterRequest): Promise<RegisterResponse> {
  const secret = context.random.secret(32);
  const { id, leaseMs } = await context.store.workers.register({
    name: request.name,
    group: request.group,
    slots: request.slots,
    capabilities: request.capabilities,
    // The hash covers the whole credential, whose first part is only known afterwards: so it covers the secret alone.
    credentialHash: hashCredential(secret),
    host: request.host,
    pid: request.pid,
    version: request.version,
  });
  const { name, group, slots, capabilities } = request;
  context.sessions.add({ id, name, group, slots, capabilities, state: 'live', leaseMs }, hashCredential(secret));
  context.log.info({ worker: name, group, slots, incarnation: id }, 'a worker joined');
  noteReady(context, group);
  context.wake.claims();
  return {
    incarnation: id,
    credential: `${id}.${secret}`,
    leaseMs,
    renewEveryMs: Math.floor(leaseMs / RENEWALS_PER_LEASE),
  };
}
