import type { TaskInstanceKey } from './ids.ts';

export interface ServerNodeDraft {
  /** Chosen by the process, new at each start. */
  readonly id: string;
  readonly roles: readonly string[];
  readonly host: string;
  readonly pid: number;
  readonly url?: string | undefined;
  readonly version: string;
}

export interface ServerNode {
  readonly id: string;
  readonly roles: readonly string[];
  readonly host: string;
  readonly pid: number;
  readonly url: string | null;
  readonly version: string;
  readonly startedAt: string;
  readonly seenUntil: string;
  /** False: it has not been heard of for longer than it promised. */
  readonly alive: boolean;
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
  readonly running: readonly WorkerTask[];
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
}
