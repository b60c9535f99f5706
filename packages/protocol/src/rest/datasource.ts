import { z } from 'zod';
import { datasourceName, time } from './scalar.ts';

/** Everything about a datasource but its password. */
export const datasourceConfig = z.strictObject({
  kind: z.enum(['postgresql', 'mysql']),
  host: z.string().min(1).max(255),
  /** Default: 5432 or 3306. */
  port: z.int().min(1).max(65_535).optional(),
  database: z.string().min(1).max(255),
  user: z.string().min(1).max(255),
  /** Only over TLS, with the server's certificate checked. */
  tls: z.boolean().optional(),
});
export type DatasourceConfig = z.infer<typeof datasourceConfig>;

/** `PUT projects/{p}/datasources/{name}` → 204. Without `password` a stored one stays, unless host or port change. */
export const putDatasourceRequest = datasourceConfig.extend({ password: z.string().max(4096).optional() });
export type PutDatasourceRequest = z.infer<typeof putDatasourceRequest>;

export const datasource = z
  .object({
    name: datasourceName,
    config: datasourceConfig,
    hasPassword: z.boolean(),
    updatedAt: time,
    updatedBy: z.string(),
  })
  .meta({ id: 'Datasource' });
export type Datasource = z.infer<typeof datasource>;

/** `POST projects/{p}/datasources/{name}/test`: `ok: false` carries the driver's message. */
export const testDatasourceResponse = z.object({
  ok: z.boolean(),
  /** Milliseconds to connect and answer `select 1`. */
  elapsedMs: z.number(),
  /** Of the database server. */
  serverVersion: z.string().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});
export type TestDatasourceResponse = z.infer<typeof testDatasourceResponse>;
