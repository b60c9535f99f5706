import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { apiHarness, DAILY, YAML } from '../testing/harness.ts';

const URL_DAILY = '/api/v1/projects/demo/workflows/daily';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const OCTETS = { 'content-type': 'application/octet-stream' };

test('the same content, put twice, is one version, whatever its notation', async (t) => {
  const { call } = await apiHarness(t);
  const first = await call('PUT', URL_DAILY, DAILY, YAML);
  assert.equal(first.statusCode, 200, first.body);
  assert.deepEqual({ ...first.json<object>(), hash: '' }, { version: 1, hash: '', changed: true, warnings: [] });
  assert.equal((await call('PUT', URL_DAILY, DAILY, YAML)).json().changed, false);
  const json = JSON.stringify({ name: 'daily', project: 'demo', tasks: { a: { run: 'true' } } });
  assert.equal((await call('PUT', URL_DAILY, json, { 'content-type': 'application/json' })).json().version, 2);
  const yaml = 'name: daily\nproject: demo\ntasks: { a: { run: "true" } }\n';
  assert.deepEqual((await call('PUT', URL_DAILY, yaml, { 'content-type': 'text/plain' })).json().changed, false);
  assert.equal((await call('GET', `${URL_DAILY}?version=1`)).json().source, DAILY);
  assert.equal((await call('GET', URL_DAILY)).json().latestVersion, 2);
  assert.equal((await call('GET', `${URL_DAILY}?version=9`)).json().code, 'unknown-version');
  const versions = (await call('GET', `${URL_DAILY}/versions`)).json<{ items: { version: number }[] }>();
  assert.deepEqual(
    versions.items.map(({ version }) => version),
    [2, 1],
  );
});

test('a bad definition is refused with the place of each mistake, and nothing is stored', async (t) => {
  const { call } = await apiHarness(t);
  const answer = await call('PUT', URL_DAILY, 'name: daily\nproject: demo\ntasks:\n  a: { rum: "true" }\n', YAML);
  assert.equal(answer.statusCode, 422);
  assert.equal(answer.headers['content-type'], 'application/problem+json');
  const { code, issues } = answer.json<{ code: string; issues: Record<string, unknown>[] }>();
  assert.equal(code, 'invalid-definition');
  const unknownKey = issues.find((issue) => issue['code'] === 'unknown-key');
  assert.equal(unknownKey?.['line'], 4);
  assert.equal(unknownKey['path'], 'tasks.a.rum');
  assert.equal((await call('GET', URL_DAILY)).json().code, 'unknown-workflow');
});

test('a definition must have the name of its URL, and one with files must be applied', async (t) => {
  const { call } = await apiHarness(t);
  assert.equal((await call('PUT', '/api/v1/projects/demo/workflows/other', DAILY, YAML)).json().code, 'name-mismatch');
  const withFiles = DAILY.replace('timezone:', 'files: [a.sql]\ntimezone:');
  assert.equal((await call('PUT', URL_DAILY, withFiles, YAML)).json().code, 'files-need-apply');
  const unnamed = DAILY.replace('project: demo\n', '');
  assert.equal((await call('PUT', URL_DAILY, unnamed, YAML)).statusCode, 200);
});

test('a deleted workflow is gone from sight until it is put again', async (t) => {
  const { call } = await apiHarness(t);
  await call('PUT', URL_DAILY, DAILY, YAML);
  assert.equal((await call('DELETE', URL_DAILY)).statusCode, 204);
  assert.equal((await call('GET', URL_DAILY)).statusCode, 404);
  assert.equal((await call('DELETE', URL_DAILY)).json().code, 'unknown-workflow');
  assert.equal((await call('PUT', URL_DAILY, DAILY, YAML)).json().changed, true);
});

test('a bundle is applied whole, or not at all', async (t) => {
  const { call } = await apiHarness(t);
  const good = { source: DAILY, file: 'daily.yaml' };
  const bad = { source: 'name: broken\ntasks: { a: { needs: [b], run: "true" } }', file: 'broken.yaml' };
  const refused = await call('POST', '/api/v1/apply', { workflows: [good, bad] });
  assert.equal(refused.statusCode, 422);
  assert.deepEqual([...new Set(refused.json().issues.map((issue: { file: string }) => issue.file))], ['broken.yaml']);
  assert.equal((await call('GET', URL_DAILY)).statusCode, 404);
  const twice = await call('POST', '/api/v1/apply', { workflows: [good, { ...good, file: 'copy.yaml' }] });
  assert.equal(twice.json().code, 'duplicate-workflow');
});

test('a plan says what would change and stores nothing', async (t) => {
  const { call } = await apiHarness(t);
  const plan = async (source: string) => {
    const answer = await call('POST', '/api/v1/apply', { workflows: [{ source, file: 'daily.yaml' }], dryRun: true });
    assert.equal(answer.statusCode, 200, answer.body);
    return answer.json().workflows[0];
  };
  assert.equal((await plan(DAILY)).action, 'create');
  assert.equal((await call('GET', URL_DAILY)).statusCode, 404);
  await call('PUT', URL_DAILY, DAILY, YAML);
  assert.equal((await plan(DAILY)).action, 'unchanged');
  const changed = await plan(DAILY.replace('echo hello', 'echo bye').replace('timezone: Asia/Shanghai\n', ''));
  assert.equal(changed.action, 'update');
  assert.equal(changed.version, 2);
  assert.deepEqual(
    changed.changes.map(({ path, kind }: { path: string; kind: string }) => `${kind} ${path}`),
    ['changed timezone', 'changed tasks.extract.with.run'],
  );
});

test('apply wants its files uploaded, by their hash', async (t) => {
  const { call } = await apiHarness(t);
  const content = 'select 1';
  const files = [{ path: 'sql/a.sql', sha256: sha256(content), size: content.length, mode: 0o644 }];
  const bundle = {
    workflows: [{ source: DAILY.replace('timezone:', 'files: ["sql/**"]\ntimezone:'), file: 'daily.yaml', files }],
  };
  const missing = await call('POST', '/api/v1/apply', bundle);
  assert.equal(missing.statusCode, 409, missing.body);
  assert.deepEqual(missing.json().missing, [sha256(content)]);
  const dry = await call('POST', '/api/v1/apply', { ...bundle, dryRun: true });
  assert.deepEqual(dry.json().missingBlobs, [sha256(content)]);

  const blob = `/api/v1/blobs/${sha256(content)}`;
  assert.equal((await call('HEAD', blob)).statusCode, 404);
  assert.equal((await call('PUT', blob, 'other', OCTETS)).json().code, 'hash-mismatch');
  assert.deepEqual((await call('PUT', blob, content, OCTETS)).json(), { sha256: sha256(content), size: 8 });
  assert.equal((await call('HEAD', blob)).statusCode, 200);
  const applied = await call('POST', '/api/v1/apply', bundle);
  assert.equal(applied.json().workflows[0].action, 'create', applied.body);
  assert.deepEqual((await call('GET', URL_DAILY)).json().files, files);
});

test('no file of a bundle may point out of the working directory', async (t) => {
  const { call } = await apiHarness(t);
  for (const path of ['../a', '/etc/passwd', 'a/../b', 'a//b', './a', 'a\\b', 'C:/a', 'a\nb']) {
    const files = [{ path, sha256: sha256(''), size: 0, mode: 0o644 }];
    const answer = await call('POST', '/api/v1/apply', { workflows: [{ source: DAILY, file: 'daily.yaml', files }] });
    assert.equal(answer.statusCode, 422, path);
    assert.equal(answer.json().errors[0].code, 'bad-path', path);
  }
});

test('lint answers with issues and stores nothing', async (t) => {
  const { call } = await apiHarness(t);
  assert.deepEqual((await call('POST', '/api/v1/lint', { source: DAILY })).json(), {
    valid: true,
    project: 'demo',
    workflow: 'daily',
    issues: [],
  });
  const bad = (await call('POST', '/api/v1/lint', { source: 'name: x\ntasks: {', file: 'x.yaml' })).json();
  assert.equal(bad.valid, false);
  assert.equal(bad.issues[0].code, 'yaml-syntax');
  assert.equal(bad.issues[0].file, 'x.yaml');
  assert.equal((await call('GET', URL_DAILY)).statusCode, 404);
});
