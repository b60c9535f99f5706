import type { FieldError, Problem, RestDefinitionIssue } from '@keelson/protocol';

/** The server understood the request and refused it: `code` is stable, `detail` is for a person. */
export class KeelsonApiError extends Error {
  override readonly name = 'KeelsonApiError';
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** What can be done about it. */
  readonly advice: string | undefined;
  /** What is wrong with a definition. */
  readonly issues: readonly RestDefinitionIssue[];
  /** What is wrong with a request or its parameters, field by field. */
  readonly errors: readonly FieldError[];
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.status = problem.status;
    this.code = problem.code;
    this.detail = this.message;
    this.advice = problem.advice;
    this.issues = problem.issues ?? [];
    this.errors = problem.errors ?? [];
    this.problem = problem;
  }
}

/**
 * No answer came. `unreachable`: the request never reached a server, nothing has happened. `interrupted`: it may have, so
 * the outcome is unknown. `not-keelson`: something answered, but not a Keelson.
 */
export class KeelsonConnectionError extends Error {
  override readonly name = 'KeelsonConnectionError';
  readonly kind: 'unreachable' | 'interrupted' | 'not-keelson';

  constructor(kind: 'unreachable' | 'interrupted' | 'not-keelson', message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** These say that no connection was made; anything else may have happened after the request was sent. */
const NEVER_SENT: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'the name of the host could not be looked up',
  EHOSTUNREACH: 'there is no route to the host',
  ENETUNREACH: 'there is no route to the network',
  EACCES: 'this machine does not allow the connection',
  EPERM: 'this machine does not allow the connection',
  UND_ERR_CONNECT_TIMEOUT: 'the host does not answer',
  ETIMEDOUT: 'the host does not answer',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed; NODE_EXTRA_CA_CERTS names one to trust',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate comes from an unknown authority; NODE_EXTRA_CA_CERTS names one to trust',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'its certificate comes from an unknown authority; NODE_EXTRA_CA_CERTS names one to trust',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS; try http:// in place of https://',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS; try http:// in place of https://',
};

/** Turns what `fetch` threw into a plain sentence. `origin` is shown, so it must hold no password. */
export function connectionError(origin: string, error: unknown): KeelsonConnectionError {
  const code = causeCode(error);
  const known = code === undefined ? undefined : NEVER_SENT[code];
  if (known !== undefined)
    return new KeelsonConnectionError('unreachable', `cannot reach Keelson at ${origin}: ${known}`, { cause: error });
  if (innermostMessage(error) === 'bad port') {
    return new KeelsonConnectionError(
      'unreachable',
      `cannot reach Keelson at ${origin}: the port belongs to another protocol, and fetch never connects to it`,
      { cause: error },
    );
  }
  const why = code === undefined ? innermostMessage(error) : `the connection broke (${code})`;
  return new KeelsonConnectionError('interrupted', `no answer from Keelson at ${origin}: ${why}`, { cause: error });
}

/** `fetch` hides the system's error in `cause`, and a host with two addresses in an AggregateError inside it. */
function causeCode(error: unknown): string | undefined {
  for (let inner = error, depth = 0; inner instanceof Error && depth < 5; inner = inner.cause, depth += 1) {
    if (inner instanceof AggregateError && inner.errors.length > 0) return causeCode(inner.errors[0]);
    if ('code' in inner && typeof inner.code === 'string') return inner.code;
  }
  return undefined;
}

function innermostMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? innermostMessage(error.cause) : error.message;
}
