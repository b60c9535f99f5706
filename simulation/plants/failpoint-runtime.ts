import { appendFileSync, existsSync } from 'node:fs';
import type { Failpoint, FailpointOrders, Fault } from './failpoint.ts';
import type { Patch } from './plant.ts';

const SESSION = 'packages/store/src/postgres/connection/session.ts';

/** Where statements leave for PostgreSQL; what is put in there is `keelsonSql` below. */
export const SQL_PATCHES: readonly Patch[] = [
  {
    file: SESSION,
    find: 'const pending = queries.map((query) => client.query(query));',
    replace:
      'const keelsonPlanted = globalThis.keelsonSql.plan(queries); if (keelsonPlanted.fault === "cut-before") globalThis.keelsonSql.cut(client); const pending = keelsonPlanted.queries.map((query) => client.query(query));',
  },
  {
    file: SESSION,
    find: 'const results = await Promise.allSettled(pending);',
    replace:
      'const results = await Promise.allSettled(pending); if (keelsonPlanted.fault === "cut-after") { globalThis.keelsonSql.cut(client); throw new ConnectionLost(commitSent, new Error("planted: the answer was lost")); }',
  },
  {
    file: SESSION,
    find: '(await pool.query({ name: statement.name, text: statement.text, values: [...values] })).rows,',
    replace:
      '(await globalThis.keelsonSql.onPool(pool, { name: statement.name, text: statement.text, values: [...values] })).rows,',
  },
];

interface Query {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

interface Planned {
  readonly queries: readonly Query[];
  readonly fault?: Fault;
}

interface Pool {
  query(query: Query): Promise<unknown>;
}

const SQLSTATES: Partial<Record<Fault, string>> = {
  deadlock: '40P01',
  'lock-timeout': '55P03',
  'disk-full': '53100',
};

/** Puts what the patched sources call into `globalThis`. */
export function armFailpoints(orders: FailpointOrders): void {
  const due = createDue(orders);
  const onAwait = (at: string): void => {
    if (due(at)?.fault === 'kill') process.kill(process.pid, 'SIGKILL');
  };
  Object.assign(globalThis, { keelsonFailpoint: onAwait, keelsonSql: sqlFaults(due) });
}

/** Answers the order for a place if it is to be carried out now, and has written it into the journal. */
function createDue({ points, journal, armedBy }: FailpointOrders): (at: string) => Failpoint | undefined {
  const reached = new Map<Failpoint, number>();
  const noted = new Set<string>();
  const write = (at: string, fault: Fault): void => appendFileSync(journal, `${process.pid} ${at} ${fault}\n`);
  const isMeant = (point: Failpoint, at: string): boolean =>
    point.at === at || (point.at.endsWith(':*') && at.startsWith(point.at.slice(0, -1)));
  return (at) => {
    const meant = points.filter((point) => isMeant(point, at));
    if (meant.length === 0 || (armedBy !== undefined && !existsSync(armedBy))) return undefined;
    for (const point of meant) {
      if (point.fault === 'note') {
        if (!noted.has(at)) write(at, 'note');
        noted.add(at);
        continue;
      }
      const count = (reached.get(point) ?? 0) + 1;
      if (count > (point.hit ?? 1)) continue;
      reached.set(point, count);
      if (count < (point.hit ?? 1)) continue;
      write(at, point.fault);
      return point;
    }
    return undefined;
  };
}

function sqlFaults(due: (at: string) => Failpoint | undefined) {
  const plan = (queries: readonly Query[]): Planned => {
    for (const [index, { name = '' }] of queries.entries()) {
      const fault = due(`sql:${name}`)?.fault;
      if (fault === undefined) continue;
      if (fault === 'kill') process.kill(process.pid, 'SIGKILL');
      const state = SQLSTATES[fault];
      return { queries: state === undefined ? queries : queries.with(index, refusal(state)), fault };
    }
    return { queries };
  };
  /** As a broken connection does it: without a word to the server. */
  const cut = (client: object): void => {
    const connection: unknown = Reflect.get(client, 'connection');
    const stream: unknown = connection instanceof Object ? Reflect.get(connection, 'stream') : undefined;
    if (stream instanceof Object && 'destroy' in stream) (stream as { destroy(): void }).destroy();
  };
  const onPool = async (pool: Pool, query: Query): Promise<unknown> => {
    const { queries, fault } = plan([query]);
    if (fault === 'cut-before') throw Object.assign(new Error('planted: read ECONNRESET'), { code: 'ECONNRESET' });
    const answer = await pool.query(queries[0] ?? query);
    if (fault === 'cut-after') throw new Error('Connection terminated unexpectedly');
    return answer;
  };
  return { plan, cut, onPool };
}

/** Raised by the server itself, so that it aborts the transaction as it would for a real one. */
function refusal(state: string): Query {
  return { text: `do $$ begin raise exception using errcode = '${state}', message = 'planted'; end $$` };
}
