import { Pool } from 'undici';

/** The calls of a client, over kept connections. */
export interface Rest {
  /** Publishes a definition of the project `default` under its name. */
  publish(definition: Definition): Promise<void>;
  /** Publishes many of them, all or none. */
  publishAll(definitions: readonly Definition[]): Promise<void>;
  /** @returns the id of the new instance */
  start(workflow: string): Promise<string>;
  /** Answered when it is asked for; the end comes later. */
  stop(id: string): Promise<void>;
  close(): Promise<void>;
}

export interface Definition {
  readonly name: string;
  readonly tasks: Readonly<Record<string, object>>;
  readonly params?: object;
  readonly triggers?: readonly object[];
  readonly concurrency?: object;
}

const CONNECTIONS = 32;

/** @param url of the server, as in `http://127.0.0.1:7400` */
export function openRest(url: string, token: string): Rest {
  const pool = new Pool(url, { connections: CONNECTIONS, pipelining: 1, bodyTimeout: 60_000, headersTimeout: 60_000 });
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };

  const exchange = async (method: 'POST' | 'PUT', path: string, body: string, expected: number): Promise<string> => {
    const answer = await pool.request({ method, path: `/api/v1/${path}`, headers, body });
    const text = await answer.body.text();
    if (answer.statusCode !== expected) throw new Error(`${method} ${path} answered ${answer.statusCode}: ${text}`);
    return text;
  };

  return {
    publish: async (definition) =>
      void (await exchange('PUT', `projects/default/workflows/${definition.name}`, JSON.stringify(definition), 200)),
    publishAll: async (definitions) => {
      const workflows = definitions.map((one) => ({ file: `${one.name}.json`, source: JSON.stringify(one) }));
      await exchange('POST', 'apply', JSON.stringify({ workflows }), 200);
    },
    start: async (workflow) => {
      const text = await exchange('POST', `projects/default/workflows/${workflow}/instances`, '{}', 201);
      const { id } = JSON.parse(text) as { id: string };
      return id;
    },
    stop: async (id) => void (await exchange('POST', `instances/${id}/stop`, '{}', 202)),
    close: () => pool.close(),
  };
}

/** Runs `action` this many times, at most `width` at once. */
export async function times(count: number, width: number, action: () => Promise<unknown>): Promise<void> {
  let left = count;
  const line = async (): Promise<void> => {
    while (left > 0) {
      left--;
      await action();
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, line));
}
