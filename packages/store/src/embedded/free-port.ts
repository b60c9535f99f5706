import { createServer } from 'node:net';

/** The wanted port if nobody listens there, else any that is free now; another process may still take it. */
export async function freePort(wanted: number): Promise<number> {
  const server = createServer();
  const port = await new Promise<number | undefined>((resolve, reject) => {
    server.once('error', (error) => (wanted === 0 ? reject(error) : resolve(undefined)));
    server.listen(wanted, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : undefined);
    });
  });
  if (port === undefined) return freePort(0);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
