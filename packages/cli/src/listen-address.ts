import { CliFailure, systemErrorCode, usageFailure } from './failure.ts';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Reads `HOST:PORT`, `[IPv6]:PORT` or `:PORT` (all addresses). */
export function parseListen(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw usageFailure(
      `--listen ${JSON.stringify(text)} is no address`,
      'an address is HOST:PORT, as in 127.0.0.1:7400 or 0.0.0.0:7400',
    );
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? '0.0.0.0' : host, port };
}

/** One clear line for an address that cannot be listened on; other errors come back as they are. */
export function listenFailure(error: unknown, { host, port }: ListenAddress): unknown {
  const code = systemErrorCode(error);
  const { syscall } = error as { readonly syscall?: string };
  // A data directory that this user may not write fails with EACCES too.
  if (code === 'EACCES' && syscall !== 'listen') return error;
  switch (code) {
    case 'EADDRINUSE':
      return new CliFailure('port-in-use', `port ${port} on ${host} is in use by another process`, {
        advice: 'stop that one, or choose another port',
      });
    case 'EACCES':
      return new CliFailure('port-not-allowed', `this user may not listen on port ${port} of ${host}`, {
        advice: 'choose a port above 1023',
      });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new CliFailure('address-not-available', `${host} is no address of this machine`);
    default:
      return error;
  }
}
