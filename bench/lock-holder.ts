/**
 * A process that holds row locks on a session of the engine's own making, in the middle of a large read: it locks its row, asks for more
 * than any buffer takes, and stops itself. Started by the bench of failovers.
 */
import { openSession } from '../packages/store/src/postgres/connection/session.ts';
import type { Answer } from './child.ts';

interface Hold {
  readonly databaseUrl: string;
  readonly row: number;
}

const LARGE = `select repeat('x', 1000000) as text from generate_series(1, 200)`;

process.once('message', (message: Answer) => {
  const { databaseUrl, row } = message as Answer & Hold;
  const session = openSession({ url: databaseUrl, applicationName: 'bench lock holder' });
  const transaction = session.begin();
  const lock = { name: 'bench-lock', text: 'select id from bench_row where id = $1 for no key update' };
  const hold = async (): Promise<void> => {
    await transaction.flight([{ statement: lock, values: [row] }]);
    void transaction.flight([{ statement: { name: 'bench-large', text: LARGE }, values: [] }]).catch(() => undefined);
    // The request leaves, and nobody reads the answer.
    setImmediate(() => process.send?.({ type: 'held' }, () => process.kill(process.pid, 'SIGSTOP')));
  };
  hold().catch((error: unknown) => process.send?.({ type: 'failed', message: String(error) }));
});
process.once('disconnect', () => process.exit(0));
