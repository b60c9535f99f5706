/** Worker incarnations and their leases, all on the database's clock. */
export interface Workers {
  /**
   * Makes a new incarnation. While one of the same name is live it waits as draining, until it asks for work: see `supersede`.
   *
   * @throws {StoreError} `token-revoked`
   */
  register(worker: WorkerRegistration): Promise<RegisteredIncarnation>;
  /** Extends the leases of those that still have one. Who is not in the answer has lost its lease for good. */
  renew(incarnationIds: readonly string[]): Promise<RenewedLease[]>;
  /** Undefined when the incarnation is unknown, dead, or the hash is another one's. */
  authenticate(incarnationId: string, credentialHash: string): Promise<LiveIncarnation | undefined>;
  /**
   * It asks for work: live ones of the same name that joined before it drain from now on. Answers whether it is live now; it is not while a
   * newer one of its name is.
   */
  supersede(incarnationId: string): Promise<boolean>;
  /** Takes no new tasks from now on. */
  drain(incarnationId: string): Promise<void>;
  /** A clean end: its attempts are lost at once, since nothing runs any more. */
  leave(incarnationId: string): Promise<void>;
  /**
   * Declares dead whose lease has ended, and leaves an `attempt-ended` command for each attempt they held. Leases longer than
   * `certainForMs` are left alone: for so long there has been no doubt about the database's clock. `asOfMs` is what that clock said when it
   * was not in doubt: what ends later is left alone too. Default: whatever it says now.
   */
  expire(certainForMs: number, asOfMs?: number): Promise<ExpiredIncarnation[]>;
  noteProgress(notes: readonly ProgressNote[]): Promise<void>;
}

export interface WorkerRegistration {
  readonly name: string;
  readonly group: string;
  readonly slots: number;
  readonly capabilities: readonly string[];
  readonly credentialHash: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  /** Version of the worker protocol that it speaks; default 1. */
  readonly protocol?: number;
  /** The token that it joins with: revoking that ends the incarnation. Absent: nothing does but its lease. */
  readonly tokenId?: string;
}

export interface RegisteredIncarnation {
  readonly id: string;
  readonly leaseMs: number;
}

export interface RenewedLease {
  readonly id: string;
  readonly leaseMs: number;
}

export interface LiveIncarnation {
  readonly id: string;
  readonly name: string;
  readonly group: string;
  readonly slots: number;
  readonly capabilities: readonly string[];
  readonly state: 'live' | 'draining';
  readonly leaseMs: number;
}

export interface ExpiredIncarnation {
  readonly id: string;
  readonly name: string;
  readonly group: string;
}

export interface ProgressNote {
  readonly attemptId: string;
  readonly incarnationId: string;
  readonly nonce: string;
  readonly fraction: number;
  readonly message?: string;
}
