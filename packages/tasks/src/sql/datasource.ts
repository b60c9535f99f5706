import { z } from 'zod';

/** A database that `sql` tasks may use. The server keeps it encrypted and resolves its name at dispatch. */
export const datasourceSchema = z.strictObject({
  kind: z.enum(['postgresql', 'mysql']).describe('`mysql` is MariaDB too.'),
  host: z.string().min(1).describe('Host name or address.'),
  port: z.int().min(1).max(65_535).describe('TCP port.'),
  database: z.string().min(1).describe('Name of the database.'),
  user: z.string().min(1).describe('Name of the user.'),
  password: z.string().describe('Password of the user; may be empty.'),
  tls: z
    .boolean()
    .exactOptional()
    .describe(
      "True: only over TLS, with the server's certificate checked against the authorities that the worker's Node trusts.",
    ),
});
export type Datasource = z.infer<typeof datasourceSchema>;

export type DatasourceReading =
  | { readonly ok: true; readonly datasource: Datasource }
  | { readonly ok: false; readonly message: string };

const KINDS: ReadonlyMap<string, { readonly kind: Datasource['kind']; readonly port: number }> = new Map([
  ['postgresql:', { kind: 'postgresql', port: 5432 }],
  ['postgres:', { kind: 'postgresql', port: 5432 }],
  ['mysql:', { kind: 'mysql', port: 3306 }],
  ['mariadb:', { kind: 'mysql', port: 3306 }],
]);

const TLS_VALUES: ReadonlyMap<string, boolean> = new Map([
  ['tls=true', true],
  ['tls=false', false],
  ['sslmode=disable', false],
  ['sslmode=require', true],
  ['sslmode=verify-ca', true],
  ['sslmode=verify-full', true],
]);

/**
 * Reads `postgresql://user:password@host:port/database` or `mysql://…`, with `?tls=true` or libpq's `sslmode` behind it.
 * User, password and database are percent-decoded. No message repeats the password.
 */
export function parseDatasourceUrl(text: string): DatasourceReading {
  const url = URL.parse(text);
  const known = url === null ? undefined : KINDS.get(url.protocol);
  if (url === null || known === undefined) {
    return { ok: false, message: 'expected postgresql://user:password@host:port/database, or the same with mysql://' };
  }
  let candidate: Record<string, unknown>;
  try {
    candidate = {
      kind: known.kind,
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? known.port : Number(url.port),
      database: decodeURIComponent(url.pathname.slice(1)),
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
    };
  } catch {
    return { ok: false, message: 'a % in user, password or database must be written as %25' };
  }
  for (const [key, value] of url.searchParams) {
    const tls = TLS_VALUES.get(`${key}=${value}`);
    if (tls === undefined)
      return { ok: false, message: `unknown option ${key}=${value}; known are ${[...TLS_VALUES.keys()].join(', ')}` };
    candidate['tls'] = tls;
  }
  const parsed = datasourceSchema.safeParse(candidate);
  if (parsed.success) return { ok: true, datasource: parsed.data };
  return {
    ok: false,
    message: `the URL lacks or misstates: ${parsed.error.issues.map((issue) => issue.path.join('.')).join(', ')}`,
  };
}

/** For logs and messages: without the password. */
export function datasourceText({ kind, user, host, port, database }: Datasource): string {
  return `${kind}://${user}@${host.includes(':') ? `[${host}]` : host}:${port}/${database}`;
}
