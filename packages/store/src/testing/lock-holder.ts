/**
 * A process that holds the row locks of a step and then waits for as long as it lives, for tests that stop it or cut it off:
 * `lock-holder.ts URL idle|reading`. It prints `held` when it has the lock. `reading`: it is in the middle of a large answer, which it
 * does not read because it stops itself first.
 */
import pg from 'pg';
import { clientConfig } from '../postgres/connection/connection.ts';

const [url = '', mode = ''] = process.argv.slice(2);
const client = new pg.Client(clientConfig({ url, applicationName: 'lock-holder' }));
client.on('error', () => undefined);
await client.connect();
await client.query('begin');
await client.query('select id from live_instance for no key update');
if (mode === 'reading') {
  // 200 MB: more than the kernels' buffers take, so the server's process waits for this one to read.
  void client.query("select repeat('x', 1000000) from generate_series(1, 200)").catch(() => undefined);
}
process.stdout.write('held\n');
setInterval(() => undefined, 1000);
if (mode === 'reading') setImmediate(() => process.kill(process.pid, 'SIGSTOP'));
