import { createHash } from 'node:crypto';
import { ApiError } from '@keelson/protocol';
import type { MasterContext } from '../context.ts';
import type { WorkerSession } from '../sessions.ts';
import { noteReady } from '../line.ts';

export function hashCredential(credential: string): string {
  return createHash('sha256').update(credential).digest('hex');
}

/** `<incarnation>.<secret>`: the incarnation is found without a search, the secret proves it. */
function splitCredential(credential: string): { id: string; secret: string } | undefined {
  const match = /^([1-9][0-9]{0,17})\.([A-Za-z0-9_-]{20,100})$/.exec(credential);
  return match === null ? undefined : { id: match[1] ?? '', secret: match[2] ?? '' };
}

/**
 * The session of the worker that calls, made from the database when this gateway has not met it.
 *
 * @throws {ApiError} `unknown-incarnation` when it is unknown, dead, out of its lease, or the credential is another one's
 */
export async function sessionOf(context: MasterContext, bearer: string): Promise<WorkerSession> {
  const credential = splitCredential(bearer);
  if (credential === undefined)
    throw new ApiError('unknown-incarnation', 'the credential is not one of a live worker incarnation');
  const { id } = credential;
  const hash = hashCredential(credential.secret);
  const known = context.sessions.get(id);
  if (known !== undefined && known.credentialHash === hash && known.leaseUntil > context.clock.now())
    return calling(context, known);
  const incarnation = await context.store.workers.authenticate(id, hash);
  if (incarnation === undefined) {
    context.sessions.remove(id);
    throw new ApiError('unknown-incarnation', 'the credential is not one of a live worker incarnation');
  }
  // Another call of it may have been quicker: of two sessions, one would be given work and the other asked for it.
  const session = context.sessions.get(id) ?? context.sessions.add(incarnation, hash);
  session.leaseUntil = context.clock.now() + incarnation.leaseMs;
  // What it holds is read when it next asks for work: nobody waits for that here, least of all a renewal.
  session.stale = true;
  noteReady(context, incarnation.group);
  context.wake.claims();
  return calling(context, session);
}

function calling({ clock }: MasterContext, session: WorkerSession): WorkerSession {
  session.calledAt = clock.now();
  return session;
}
