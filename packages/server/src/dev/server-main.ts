import { pino } from 'pino';
import { ROLES, startServer } from '../serve.ts';
import { runChild } from './child-program.ts';

/** How long what is under way may take when dev stops. */
const GRACE_MS = 5000;

/** The program of a server of `dev --masters N`. Its log goes to dev as JSON lines on standard output. */
runChild('server', async ({ databaseUrl, secretKey, host, port, logLevel }) => {
  const server = await startServer({
    roles: ROLES,
    databaseUrl,
    listen: { host, port },
    advertise: true,
    secretKey,
    log: pino({ level: logLevel, base: null }, process.stdout),
  });
  return { url: server.url, leave: () => server.stop(GRACE_MS) };
});
