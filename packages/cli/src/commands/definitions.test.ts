import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppliedWorkflow } from '@keelson/protocol';
import { runCli } from '../program.ts';
import { testFolder } from '../testing/folder.ts';
import { noContent, refuse, sha256, testApi } from '../testing/test-api.ts';
import { testTerminal } from '../testing/test-terminal.ts';

const FLOW = 'name: daily\nproject: demo\nfiles: [run.sh]\ntasks:\n  a: { run: ./run.sh }\n';
const BROKEN = 'name: daily\ntasks:\n  a: { run: "true", nedes: [b] }\n';

function applied(file: string, values: Partial<AppliedWorkflow> = {}): AppliedWorkflow {
  return {
    file,
    project: 'demo',
    workflow: 'daily',
    action: 'create',
    version: 1,
    hash: 'abc',
    changes: [],
    warnings: [],
    ...values,
  };
}

test('lint: what is good, without any server', async (context) => {
  const cwd = await testFolder(context, { 'a.yaml': FLOW, 'run.sh': 'echo' });
  const terminal = testTerminal({ cwd });
  assert.equal(await runCli(['lint', 'a.yaml'], terminal), 0);
  assert.equal(terminal.out(), '1 workflow checked, nothing wrong\n');
});

test('lint: what is wrong, with place, suggestion and, on a terminal, the line', async (context) => {
  const cwd = await testFolder(context, {
    'flows/a.yaml': BROKEN,
    'flows/data.json': '{"rows": []}',
    'flows/node_modules/x/b.yaml': BROKEN,
  });
  const piped = testTerminal({ cwd });
  assert.equal(await runCli(['lint', 'flows'], piped), 1);
  assert.match(
    piped.err(),
    /^skipped, as no workflow is defined there: flows\/data\.json\nflows\/a\.yaml:3:\d+: error: /,
  );
  assert.match(piped.err(), /unknown-key at tasks\.a\.nedes/);
  assert.match(piped.err(), /help: did you mean "needs"\?/);
  assert.match(piped.err(), /\n1 error\n$/);
  const terminal = testTerminal({ cwd, tty: { columns: 80, rows: 24 } });
  await runCli(['lint', 'flows'], terminal);
  assert.match(terminal.err(), /\n {2}3 \| {3}a: \{ run: "true", nedes: \[b\] \}\n\s+\^\n/);
  const json = testTerminal({ cwd });
  assert.equal(await runCli(['lint', 'flows', '--json'], json), 1);
  const report = JSON.parse(json.out()) as { valid: boolean; issues: { code: string; file: string }[] };
  assert.equal(report.valid, false);
  assert.deepEqual(
    report.issues.map(({ code, file }) => [code, file]),
    [['unknown-key', 'flows/a.yaml']],
  );
});

test('lint: files and modules that are missing, and the same workflow twice', async (context) => {
  const cwd = await testFolder(context, {
    'a.yaml': FLOW,
    'b.yaml': 'name: daily\nproject: demo\ntasks:\n  a: { uses: node, with: { module: ./no.ts } }\n',
  });
  const terminal = testTerminal({ cwd });
  assert.equal(await runCli(['lint', '.'], terminal), 1);
  assert.match(terminal.err(), /a\.yaml: error: there is no file "run\.sh".*\(missing-file at files\[0\]\)/);
  assert.match(
    terminal.err(),
    /b\.yaml: error: there is no module "\.\/no\.ts".*missing-file at tasks\.a\.with\.module/,
  );
  assert.match(terminal.err(), /duplicate-workflow/);
});

test('lint: workflows that depend on each other', async (context) => {
  const flow = (name: string, on: string) =>
    `name: ${name}\nproject: demo\ndependsOn: [${on}]\ntasks: { a: { run: "true" } }\n`;
  const cwd = await testFolder(context, { 'a.yaml': flow('a', 'b, elsewhere'), 'b.yaml': flow('b', 'demo/a') });
  const terminal = testTerminal({ cwd });
  assert.equal(await runCli(['lint', '.'], terminal), 1);
  assert.match(terminal.err(), /error: these workflows depend on each other: demo\/(a|b) → demo\/(a|b) → demo\/(a|b)/);
  assert.match(terminal.err(), /dependency-cycle at dependsOn/);
});

test('lint: paths that are no definitions', async (context) => {
  const cwd = await testFolder(context, { 'readme.md': '', 'empty/x.txt': '', 'data/x.json': '{}' });
  const message = async (path: string) => {
    const terminal = testTerminal({ cwd });
    const code = await runCli(['lint', path], terminal);
    return [code, terminal.err().split('\n')[0]];
  };
  assert.deepEqual(await message('none.yaml'), [1, 'error: none.yaml: there is no such file or directory']);
  assert.deepEqual(await message('readme.md'), [
    2,
    'error: readme.md: a definition is a .yaml, .yml, .json, .ts or .js file',
  ]);
  assert.deepEqual(await message('empty'), [1, 'error: empty: no workflow definition in it']);
  assert.deepEqual(await message('data'), [
    1,
    'error: data: no workflow definition in it (data/x.json has no "tasks")',
  ]);
});

test('lint: modules that export workflows, and modules that do not', async (context) => {
  const cwd = await testFolder(context, {
    'good.ts':
      "import { workflow } from '@keelson/sdk/workflow';\nconst name: string = 'one';\nexport default [workflow({ name, tasks: { a: { run: 'true' } } }), { name: 'two', tasks: { a: { run: 'true', neds: [] } } }];\n",
    'none.ts': 'export const a = 1;\n',
    'throws.ts': "const a: number = 1;\nthrow new RangeError('far ' + a);\n",
  });
  const good = testTerminal({ cwd });
  assert.equal(await runCli(['lint', 'good.ts'], good), 1);
  assert.match(good.err(), /^good\.ts#two: error: .*\(unknown-key at tasks\.a\.neds\)/);
  const none = testTerminal({ cwd });
  assert.equal(await runCli(['lint', 'none.ts'], none), 1);
  assert.match(
    none.err(),
    /^error: none\.ts: the default export must be a workflow or a list of them, not missing\nhelp: export default workflow/,
  );
  const throws = testTerminal({ cwd });
  assert.equal(await runCli(['lint', 'throws.ts'], throws), 1);
  assert.match(throws.err(), /^error: throws\.ts:2:7: RangeError: far 1\n/);
});

test('apply: uploads what is missing, then publishes all of it', async (context) => {
  const cwd = await testFolder(context, {
    'a.yaml': FLOW,
    'run.sh': 'echo hi',
    'b.json': '{"name":"other","tasks":{"a":{"run":"true"}}}',
  });
  const hash = sha256('echo hi');
  const api = await testApi(context, {
    'POST apply': ({ body }) => {
      const { dryRun = false } = body as { dryRun?: boolean };
      return {
        dryRun,
        workflows: [applied('a.yaml'), applied('b.json', { workflow: 'other', action: 'unchanged', version: 4 })],
        missingBlobs: dryRun ? [hash] : [],
      };
    },
    'PUT blobs/*': (_call, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{}'),
  });
  const terminal = testTerminal({ cwd, env: api.env });
  assert.equal(await runCli(['apply', '.'], terminal), 0);
  assert.equal(terminal.out(), '✔ demo/daily  created version 1\n= demo/other  unchanged, version 4\n');
  assert.deepEqual(
    api.calls.map(({ method, path }) => `${method} ${path}`),
    ['POST apply', `PUT blobs/${hash}`, 'POST apply'],
  );
  assert.equal(api.calls[1]?.bytes.toString(), 'echo hi');
  const sent = api.calls[2]?.body as { workflows: { file: string; source: string; files: unknown[] }[] };
  assert.deepEqual(
    sent.workflows.map(({ file, source }) => [file, source.includes('name')]),
    [
      ['a.yaml', true],
      ['b.json', true],
    ],
  );
  assert.deepEqual(sent.workflows[0]?.files, [{ path: 'run.sh', sha256: hash, size: 7, mode: 0o644 }]);
});

test('apply: one bad file, and nothing is sent', async (context) => {
  const cwd = await testFolder(context, { 'a.yaml': FLOW, 'run.sh': '', 'b.yaml': BROKEN.replace('daily', 'other') });
  const api = await testApi(context, {});
  const terminal = testTerminal({ cwd, env: api.env });
  assert.equal(await runCli(['apply', '.'], terminal), 1);
  assert.match(terminal.err(), /unknown-key/);
  assert.deepEqual(api.calls, []);
});

test('apply: what only the server finds wrong is shown in the same way', async (context) => {
  const cwd = await testFolder(context, { 'a.yaml': FLOW.replace('files: [run.sh]\n', '') });
  const issue = {
    severity: 'error' as const,
    code: 'too-new',
    message: 'this server does not know that',
    path: 'tasks.a',
    line: 4,
    column: 3,
    file: 'a.yaml',
  };
  const api = await testApi(context, {
    'POST apply': (_call, response) => refuse(response, 'invalid-definition', 'one error', { issues: [issue] }),
  });
  const terminal = testTerminal({ cwd, env: api.env, tty: { columns: 80, rows: 24 } });
  assert.equal(await runCli(['apply', 'a.yaml'], terminal), 1);
  assert.match(
    terminal.err(),
    /^a\.yaml:4:3: error: this server does not know that \(too-new at tasks\.a\)\n {2}4 \| {3}a: /,
  );
});

test('plan: says what would change and stores nothing', async (context) => {
  const cwd = await testFolder(context, { 'a.yaml': FLOW, 'run.sh': '' });
  const changes = [
    { path: 'tasks.a.with.run', kind: 'changed' as const },
    { path: 'files.run.sh', kind: 'added' as const },
  ];
  const api = await testApi(context, {
    'POST apply': () => ({
      dryRun: true,
      workflows: [applied('a.yaml', { action: 'update', version: 3, changes })],
      missingBlobs: [sha256('')],
    }),
  });
  const terminal = testTerminal({ cwd, env: api.env });
  assert.equal(await runCli(['plan', 'a.yaml'], terminal), 0);
  assert.equal(
    terminal.out(),
    '~ demo/daily  changed (v2 → v3)\n    ~ tasks.a.with.run\n    + files.run.sh\n0 to create, 1 to change, 0 unchanged; 1 file to upload. Nothing was stored.\n',
  );
  assert.partialDeepStrictEqual(api.calls[0]?.body, { dryRun: true });
  assert.equal(api.calls.length, 1);
});

test('a deleted thing answers without a body', async (context) => {
  const api = await testApi(context, { 'DELETE projects/*/secrets/*': (_call, response) => noContent(response) });
  const terminal = testTerminal({ env: api.env });
  assert.equal(await runCli(['secret', 'delete', 'KEY', '-p', 'demo'], terminal), 0);
  assert.equal(terminal.out(), 'Secret KEY of project demo is deleted\n');
});

test('delete: by its name, without a question where nobody sits', async (context) => {
  const api = await testApi(context, {
    'DELETE projects/*/workflows/*': (_call, response) => noContent(response),
  });
  const terminal = testTerminal({ env: api.env });
  assert.equal(await runCli(['delete', 'demo/daily'], terminal), 0, terminal.err());
  assert.equal(terminal.out(), 'Workflow demo/daily is deleted\n');
});
