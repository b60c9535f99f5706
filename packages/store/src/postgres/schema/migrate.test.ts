import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import pg from 'pg';
import { migratedDatabase } from '../../testing/migrated.ts';
import { clientConfig } from '../connection/connection.ts';
import { migrate } from './migrate.ts';
import { knownSchemaVersion, readMigrations } from './migration-files.ts';
import { compareReleases } from './older-processes.ts';
import { checkSchema, SchemaError } from './schema-check.ts';

const OWN = fileURLToPath(new URL('./migrations/', import.meta.url));

/** The migrations of a release after this one: ours, and one more. */
async function nextRelease(t: TestContext, declaration: string) {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-migrations-'));
  t.after(() => rm(folder, { recursive: true }));
  await cp(OWN, folder, { recursive: true });
  const version = (await knownSchemaVersion()) + 1;
  const name = `${String(version).padStart(4, '0')}_next.sql`;
  await writeFile(join(folder, name), `${declaration}\ncreate table from_the_future (id int);\n`);
  return { directory: pathToFileURL(`${folder}/`), version, name };
}

async function database(t: TestContext) {
  const { url } = await migratedDatabase(t);
  const client = new pg.Client(clientConfig({ url, applicationName: 'test' }));
  await client.connect();
  t.after(() => client.end());
  /** A server as one of some release registers itself. */
  const addServer = (id: string, schema: number | null, silent = false) =>
    client.query(
      `insert into server_node (id, roles, host, pid, url, version, schema_version, seen_until)
       values ($1, '{api,master}', 'box', 4711, 'http://' || $1 || ':7400', '0.0.9', $2, clock_timestamp() + $3 * interval '1 second')`,
      [id, schema, silent ? -1 : 60],
    );
  const addWorker = (name: string, version: string, leaseSeconds = 60) =>
    client.query(
      `insert into worker_incarnation (name, worker_group, slots, capabilities, credential_hash, host, pid, version, lease_ms, lease_until)
       values ($1, 'default', 1, '{shell}', 'x', 'box', 4712, $2, 10000, clock_timestamp() + $3 * interval '1 second')`,
      [name, version, leaseSeconds],
    );
  return { url, client, addServer, addWorker };
}

async function refusal(action: Promise<unknown>): Promise<SchemaError> {
  try {
    await action;
  } catch (error) {
    if (error instanceof SchemaError) return error;
    throw error;
  }
  return assert.fail('it was not refused');
}

test('every migration declares which schema it is compatible from', async () => {
  const migrations = await readMigrations();
  for (const { version, compatibleFrom, text } of migrations.slice(1)) {
    assert.match(text, /^-- compatible-from: /m, `migration ${version}`);
    assert.ok(compatibleFrom >= 1 && compatibleFrom <= version, `migration ${version}`);
  }
});

test('an additive migration goes past running servers of the release before, which go on', async (t) => {
  const { url, addServer, addWorker } = await database(t);
  const known = await knownSchemaVersion();
  const next = await nextRelease(t, `-- compatible-from: ${known}`);
  await addServer('a', known);
  await addWorker('w', '0.0.9');
  assert.deepEqual(await migrate(url, next.directory), [next.name]);
  assert.deepEqual(await checkSchema(url), { version: next.version, known });
  assert.deepEqual(await migrate(url), [], 'and the release before has nothing to do');
  assert.deepEqual(await migrate(url, next.directory), []);
});

test('an additive migration is refused while a server runs that is older than it reaches back', async (t) => {
  const { url, addServer } = await database(t);
  const known = await knownSchemaVersion();
  const next = await nextRelease(t, `-- compatible-from: ${known}`);
  await addServer('fine', known);
  await addServer('old', known - 1);
  await addServer('ancient', null);
  const { code, message } = await refusal(migrate(url, next.directory));
  assert.equal(code, 'older-processes-running');
  assert.match(message, /server http:\/\/old:7400 \(api,master; box:4711, release 0\.0\.9/);
  assert.match(message, /ancient.*schema 1\)/);
  assert.doesNotMatch(message, /fine/);
});

test('a breaking migration names the servers and the older workers that are in its way, and changes nothing', async (t) => {
  const { url, client, addServer, addWorker } = await database(t);
  const known = await knownSchemaVersion();
  const next = await nextRelease(t, '-- compatible-from: breaking');
  await addServer('a', known);
  await addServer('gone', known, true);
  await addWorker('old-worker', '0.0.9');
  await addWorker('own-worker', '0.1.0');
  await addWorker('lost-worker', '0.0.9', -1);
  const { code, message } = await refusal(migrate(url, next.directory));
  assert.equal(code, 'older-processes-running');
  assert.ok(message.includes(next.name));
  assert.match(message, /server http:\/\/a:7400 .*worker old-worker \(box:4712, release 0\.0\.9\)/);
  assert.match(message, /SIGTERM/);
  assert.doesNotMatch(message, /gone|own-worker|lost-worker/);
  assert.deepEqual(await checkSchema(url), { version: known, known });
  await client.query('delete from server_node');
  await client.query("update worker_incarnation set state = 'dead'");
  assert.deepEqual(await migrate(url, next.directory), [next.name]);
});

test('a server at a schema that is newer than it knows and breaks it is refused, and so is its migrate', async (t) => {
  const { url } = await database(t);
  const known = await knownSchemaVersion();
  const next = await nextRelease(t, '-- no declaration counts as breaking');
  await migrate(url, next.directory);
  for (const action of [checkSchema, migrate]) {
    const { code, message } = await refusal(action(url));
    assert.equal(code, 'schema-too-new');
    assert.ok(message.includes(`version ${next.version}`) && message.includes(`knows ${known}`), message);
    assert.match(message, /use a newer release/);
  }
});

test('releases are compared by their numbers', () => {
  assert.ok(compareReleases('0.9.0', '0.10.0') < 0);
  assert.ok(compareReleases('1.0.0', '0.10.0') > 0);
  assert.equal(compareReleases('1.2.3', '1.2.3-beta'), 0);
  assert.ok(compareReleases('unknown', '0.1.0') < 0);
});
