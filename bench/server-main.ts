/** The server of a bench, in a process of its own: roles api and master, ended by closing its channel. */
import { startServer } from '@keelson/server';
import { pino } from 'pino';
import type { Answer } from './child.ts';

export interface ServerStart {
  readonly databaseUrl: string;
  readonly secretKey: string;
  readonly logFile: string;
}

process.once('message', (message: Answer) => {
  const { databaseUrl, secretKey, logFile } = message as Answer & ServerStart;
  // The level of a production server, so that logging costs what it costs there.
  const log = pino({ level: 'info' }, pino.destination({ dest: logFile, sync: false }));
  const starting = startServer({
    roles: ['api', 'master'],
    databaseUrl,
    listen: { host: '127.0.0.1', port: 0 },
    secretKey,
    log,
  });
  process.once('disconnect', () => {
    void starting.then((server) => server.stop()).finally(() => process.exit(0));
  });
  starting.then(
    ({ url }) => process.send?.({ type: 'ready', url }),
    (error: unknown) => process.send?.({ type: 'failed', message: String(error) }),
  );
});
