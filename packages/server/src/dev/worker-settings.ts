/** What `dev` tells a worker process. */
export interface WorkerSettings {
  readonly server: string;
  readonly token: string;
  readonly name: string;
  readonly slots: number;
  readonly dataDir: string;
}

export function isWorkerSettings(value: unknown): value is WorkerSettings {
  if (typeof value !== 'object' || value === null) return false;
  const { server, token, name, slots, dataDir } = value as Record<string, unknown>;
  return [server, token, name, dataDir].every((text) => typeof text === 'string') && typeof slots === 'number';
}
