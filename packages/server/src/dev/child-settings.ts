/** What `dev` tells a process of its own: over the channel and not in the environment, which tasks of the same user could read. */
export interface WorkerSettings {
  readonly kind: 'worker';
  readonly servers: readonly string[];
  readonly token: string;
  readonly name: string;
  readonly slots: number;
  readonly dataDir: string;
}

export interface ServerSettings {
  readonly kind: 'server';
  readonly databaseUrl: string;
  readonly secretKey: string;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Of pino. */
  readonly logLevel: string;
}

export type ChildSettings = WorkerSettings | ServerSettings;

/** What the process answers: once when it works, or why it cannot. */
export type ChildAnswer =
  | { readonly kind: 'ready'; readonly url?: string }
  | { readonly kind: 'failed'; readonly message: string; readonly code?: string; readonly syscall?: string };

export function isSettings<Kind extends ChildSettings['kind']>(
  kind: Kind,
  value: unknown,
): value is Extract<ChildSettings, { kind: Kind }> {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;
}

export function isAnswer(value: unknown): value is ChildAnswer {
  return (
    typeof value === 'object' &&
    value !== null &&
    'kind' in value &&
    (value.kind === 'ready' || (value.kind === 'failed' && 'message' in value))
  );
}
