import type { TaskInstanceKey } from './ids.ts';

export interface ServerNodeDraft {
  /** Chosen by the process, new at each start. */
  readonly id: string;
  readonly roles: readonly string[];
  readonly host: string;
  readonly pid: number;
  readonly url?: string | undefined;
  /** Where workers reach its gateway, if it wants to be told to them. */
  readonly gatewayUrl?: string | undefined;
  readonly version: string;
  /** The newest schema that it knows: a migration that this would not survive is refused while it is there. */
  readonly schemaVersion: number;
  /** It takes no new work and is about to end. */
  readonly draining: boolean;
  readonly load: ServerLoad;
  /** The workers whose calls it answers, by incarnation. */
  readonly workers: ReadonlyMap<string, WorkerContact>;
}

/** What a server has to do. */
export interface ServerLoad {
  /** Decisions committed, per second; absent without the role master. */
  readonly stepsPerSecond?: number;
  /** Share of the time that its event loop was busy, 0 to 1. */
  readonly eventLoop: number;
  /** Workers with an open session; absent without the role master. */
  readonly workers?: number;
}

export interface WorkerContact {
  /** Milliseconds since its last call. */
  readonly agoMs: number;
  /** Load average of its machine, per core; absent when it does not say. */
  readonly load?: number;
}

export interface ServerNode {
  readonly id: string;
  readonly roles: readonly string[];
  readonly host: string;
  readonly pid: number;
  readonly url: string | null;
  /** What workers are told to call; null: they are not told. */
  readonly gatewayUrl: string | null;
  readonly version: string;
  /** The newest schema that it knows; null: a release that does not say. */
  readonly schemaVersion: number | null;
  readonly startedAt: string;
  readonly seenAt: string;
  readonly seenUntil: string;
  /** False: it has not been heard of for longer than it promised. */
  readonly alive: boolean;
  readonly draining: boolean;
  readonly load: ServerLoad | null;
}

export interface WorkerNode {
  readonly incarnation: string;
  readonly name: string;
  readonly group: string;
  readonly state: 'live' | 'draining';
  readonly slots: number;
  readonly inUse: number;
  readonly capabilities: readonly string[];
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly registeredAt: string;
  readonly leaseUntil: string;
  readonly leaseOver: boolean;
  /** Version of the worker protocol that it speaks. */
  readonly protocol: number;
  /** The token that it joined with was revoked: it is given nothing, and ends when it next calls. */
  readonly revoked: boolean;
  /** The server that it talked to last, as far as servers have said; null for one that none has met. */
  readonly gateway: string | null;
  /** Load average of its machine, per core; null when it does not say. */
  readonly load: number | null;
  readonly running: readonly WorkerTask[];
}

/** A group of workers; it exists from the first registration on, or from the moment it was set. */
export interface WorkerGroup {
  readonly name: string;
  readonly leaseMs: number;
  /** Workers of it that are not dead. */
  readonly workers: number;
}

export interface WorkerTask extends TaskInstanceKey {
  readonly id: string;
  readonly project: string;
  readonly workflow: string;
  readonly attempt: number;
  readonly state: 'dispatched' | 'running';
  /** When it was dispatched, or started if it was. */
  readonly since: string;
}

/** The processes of the cluster, for people to see; nothing is decided on this. */
export interface Nodes {
  /** Also renews; `ttlMs` is how long the server may stay silent. Servers that were silent for a day are forgotten. */
  seen(node: ServerNodeDraft, ttlMs: number): Promise<void>;
  /** A clean end. */
  remove(id: string): Promise<void>;
  servers(): Promise<ServerNode[]>;
  /** Workers that are not dead, by group and name. */
  workers(): Promise<WorkerNode[]>;
  groups(): Promise<WorkerGroup[]>;
  /** Sets the lease of a group, made if there is none: it holds for workers that register from now on. Between 10 s and 10 min. */
  setLease(group: string, leaseMs: number): Promise<WorkerGroup>;
}
