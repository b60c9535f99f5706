import { ApiError, SPOKEN_PROTOCOLS } from '@keelson/protocol';
import type { RegisterRequest, RegisterResponse } from '@keelson/protocol';
import { StoreError } from '@keelson/store';
import type { WorkerRegistration } from '@keelson/store';
import manifest from '../../../package.json' with { type: 'json' };
import type { MasterContext } from '../context.ts';
import { noteReady } from '../line.ts';
import type { WorkerSession } from '../sessions.ts';
import { hashCredential } from './authenticate.ts';

/** Two may fail before the lease is in danger. */
const RENEWALS_PER_LEASE = 4;

/**
 * @returns the token's id
 * @throws {ApiError} `unauthenticated` or `forbidden`
 */
export async function checkJoinToken({ store }: MasterContext, token: string): Promise<string> {
  const holder = token === '' ? undefined : await store.tokens.verify(token);
  if (holder === undefined) throw new ApiError('unauthenticated', 'the join token is unknown, expired or revoked');
  if (holder.role !== 'worker' && holder.role !== 'admin')
    throw new ApiError('forbidden', `a token of the role ${holder.role} cannot join as a worker`);
  return holder.id;
}

/** @throws {ApiError} `unsupported-protocol`, before anything else of the body is looked at: another version may have another form */
export function checkProtocol(body: unknown): void {
  if (typeof body !== 'object' || body === null || !('protocol' in body)) return;
  const { protocol } = body;
  if (!Number.isInteger(protocol) || SPOKEN_PROTOCOLS.includes(Number(protocol))) return;
  throw new ApiError(
    'unsupported-protocol',
    `the worker speaks protocol ${String(protocol)}, this server (release ${manifest.version}) speaks ${SPOKEN_PROTOCOLS.join(', ')}`,
  );
}

/**
 * A worker joins: a new incarnation, with a credential of its own.
 *
 * @param tokenId of the token that it joins with; revoking that ends the incarnation
 */
export async function register(
  context: MasterContext,
  request: RegisterRequest,
  tokenId?: string,
): Promise<RegisterResponse> {
  const secret = context.random.secret(32);
  const namesake = sessionsNamed(context, request.name);
  const { id, leaseMs } = await joined(context, {
    ...(tokenId === undefined ? {} : { tokenId }),
    protocol: request.protocol,
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
  if (namesake !== undefined) sayNamesake(context, request, namesake);
  noteReady(context, group);
  context.wake.claims();
  return {
    incarnation: id,
    credential: `${id}.${secret}`,
    leaseMs,
    renewEveryMs: Math.floor(leaseMs / RENEWALS_PER_LEASE),
  };
}

async function joined(
  { store }: MasterContext,
  worker: WorkerRegistration,
): Promise<{ readonly id: string; readonly leaseMs: number }> {
  try {
    return await store.workers.register(worker);
  } catch (error) {
    if (error instanceof StoreError && error.code === 'token-revoked')
      throw new ApiError('unauthenticated', 'the join token is unknown, expired or revoked');
    throw error;
  }
}

/** Of the workers at this gateway: one that was started again has left before, or is dying. */
function sessionsNamed({ sessions, clock }: MasterContext, name: string): WorkerSession | undefined {
  for (const session of sessions.all())
    if (session.incarnation.name === name && !session.superseded && session.leaseUntil > clock.now()) return session;
  return undefined;
}

function sayNamesake({ log }: MasterContext, { name, host, pid }: RegisterRequest, older: WorkerSession): void {
  // A worker that was killed and started again does so, too: no warning here, but one in the log of the older, if there is one.
  log.info(
    { worker: name, host, pid, older: older.incarnation.id },
    'a worker joined under the name of one whose lease still runs, and which gets no new tasks from now on: two workers need two names',
  );
}
