import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parse as parseYaml } from 'yaml';

import type { DefinitionIssue } from './issue.ts';
import { slotsOf } from './concurrency.ts';
import { definitionFromObject, parseDefinition } from './parse.ts';
import { SAMPLE_DEFINITION, sampleTaskTypes } from './testing/task-types.ts';

const options = { taskTypes: sampleTaskTypes };
const parse = (text: string): readonly DefinitionIssue[] => parseDefinition(text, options).issues;
const withTasks = (tasks: string): string =>
  `name: a\nparams: { day: { type: date }, dry: { type: boolean } }\ntasks:\n${tasks.replace(/^/gm, '  ')}\n`;

/** `code line:column` of each issue. */
function places(text: string): string[] {
  return parse(text).map(({ code, line, column }) => `${code} ${line}:${column}`);
}

test('a full definition becomes the normalised model', () => {
  const { definition, issues } = parseDefinition(SAMPLE_DEFINITION, options);
  assert.deepEqual(issues, []);
  assert.ok(definition);
  const { tasks, ...rest } = definition;
  assert.deepEqual(rest.labels, { team: 'sales', tier: '1' });
  assert.equal(rest.timezone, 'Asia/Shanghai');
  assert.deepEqual(rest.concurrency, { policy: 'serial-wait' });
  assert.equal(rest.onFailure, 'end');
  const { id, ...trigger } = rest.triggers[0] ?? { id: '' };
  assert.match(id, /^[0-9a-f]{16}$/);
  assert.deepEqual(trigger, {
    cron: '0 30 2 * * ?',
    timezone: 'Asia/Shanghai',
    misfire: 'fire-once',
    params: { region: 'us' },
  });
  assert.deepEqual(Object.keys(tasks), ['extract', 'clean', 'load', 'notify']);
  assert.deepEqual(tasks.extract, {
    id: 'extract',
    labels: {},
    uses: 'shell',
    with: { run: './extract.sh "$DAY"' },
    needs: {},
    env: { LANG: 'C', DAY: '${{ params.day }}', TOKEN: '${{ secrets.API }}', PORT: '8080' },
    retry: { max: 2, delayMs: 20_000, backoff: 'exponential', maxDelayMs: 3_600_000 },
    timeout: { afterMs: 900_000, action: 'fail' },
    delayMs: 0,
    priority: 0,
    workerGroup: 'default',
    allowFailure: false,
  });
  assert.equal(tasks.clean?.retry.max, 5);
  assert.deepEqual(tasks.load?.timeout, { afterMs: 900_000, action: 'warn' });
  assert.equal(tasks.load?.delayMs, 5_400_000);
  assert.equal(tasks.load?.priority, -5);
  assert.deepEqual(tasks.notify?.needs, { load: ['succeeded', 'skipped', 'failed'], clean: ['succeeded'] });
  assert.deepEqual(tasks.notify?.retry, { max: 0, delayMs: 20_000, backoff: 'exponential', maxDelayMs: 3_600_000 });
});

test('an object and its text give the same model; JSON is read as YAML is', () => {
  const object: unknown = parseYaml(SAMPLE_DEFINITION, { merge: true });
  const fromText = parseDefinition(SAMPLE_DEFINITION, options);
  assert.deepEqual(definitionFromObject(object, options).definition, fromText.definition);
  assert.deepEqual(parseDefinition(JSON.stringify(object, null, '\t'), options).definition, fromText.definition);
  assert.deepEqual(definitionFromObject(object, options).issues, []);
});

test('defaults', () => {
  const { definition } = parseDefinition('name: a\ntasks: { a: { run: x }, b: { run: x, retry: 1 } }', {
    ...options,
    defaultProject: 'home',
  });
  assert.equal(definition?.project, 'home');
  assert.equal(definition?.timezone, 'UTC');
  assert.deepEqual(definition?.tasks.a?.retry, { max: 0, delayMs: 0, backoff: 'fixed', maxDelayMs: 3_600_000 });
  assert.equal(definition?.tasks.b?.retry.delayMs, 10_000);
  assert.equal(definition?.tasks.a?.timeout, undefined);
});

test('the zone is the own one, else that of the only trigger, else UTC', () => {
  const zone = (head: string): string | undefined =>
    parseDefinition(`name: a\n${head}\ntasks: { a: { run: x } }`, options).definition?.timezone;
  assert.equal(zone('triggers: [{ cron: "@daily", timezone: asia/tokyo }]'), 'Asia/Tokyo');
  assert.equal(zone('triggers: [{ cron: "@daily", timezone: Asia/Tokyo }, { cron: "@hourly" }]'), 'UTC');
  assert.equal(zone('timezone: Europe/Berlin\ntriggers: [{ cron: "@daily", timezone: Asia/Tokyo }]'), 'Europe/Berlin');
});

test('the id of a trigger follows its content', () => {
  const id = (trigger: string): string | undefined =>
    parseDefinition(`name: a\ntriggers: [${trigger}]\ntasks: { a: { run: x } }`, options).definition?.triggers[0]?.id;
  assert.equal(id('{ cron: "0  2 * * *" }'), id('{ cron: "0 2 * * *", title: nightly, misfire: fire-once }'));
  assert.notEqual(id('{ cron: "0 2 * * *" }'), id('{ cron: "0 3 * * *" }'));
  assert.equal(id('{ cron: "0 2 * * *", id: nightly }'), 'nightly');
});

test('syntax: every mistake has its place', () => {
  assert.deepEqual(places('name: a\nname: b\ntasks: { a: { run: x }, a: { run: y } }'), [
    'duplicate-key 2:1',
    'duplicate-key 3:25',
  ]);
  assert.equal(places('name: [a\ntasks: {}').at(0)?.split(' ')[0], 'yaml-syntax');
  assert.deepEqual(places('name: a\ntasks:\n\ta: { run: x }'), ['yaml-syntax 3:1']);
  assert.deepEqual(places('name: a\n---\nname: b'), ['yaml-syntax 2:1']);
  assert.deepEqual(places('name: a\nx-a: *nowhere\ntasks: { a: { run: x } }'), ['unknown-alias 2:6']);
  assert.deepEqual(places('name: a\n? { b: c }\n: d\ntasks: { a: { run: x } }'), ['bad-key 2:3']);
  assert.deepEqual(places(''), ['bad-type 1:1']);
  assert.deepEqual(places('- a'), ['bad-type 1:1']);
  assert.deepEqual(
    places(`name: ${'['.repeat(50_000)}`).map((place) => place.split(' ')[0]),
    ['too-deep'],
  );
  assert.deepEqual(
    places(`name: a\ntasks: ${'['.repeat(200)}${']'.repeat(200)}`).map((place) => place.split(' ')[0]),
    ['too-deep'],
  );
  assert.deepEqual(places('x'.repeat(16 * 1024 * 1024 + 1)), ['too-large 1:1']);
});

test('aliases that multiply are stopped', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefgh'
      .split('')
      .map((key, index) => `${key}: &${key} [${Array.from({ length: 9 }, () => `*${'abcdefg'[index]}`).join(', ')}]`),
  ];
  assert.equal(parse(bomb.join('\n')).at(0)?.code, 'too-large');
});

test('an unquoted "!" gets a hint', () => {
  const [issue, ...others] = parse(withTasks('a:\n  run: x\n  if: !params.dry\nb: { run: x, if: "!params.dry" }'));
  assert.deepEqual(others, []);
  assert.equal(issue?.code, 'yaml-tag');
  assert.deepEqual([issue?.line, issue?.column], [6, 9]);
  assert.equal(issue?.suggestion, 'put it in quotes: "!params.dry"');
});

test('unknown keys, each with what was meant', () => {
  const issues = parse(
    'name: a\nparms: {}\ntasks: { a: { run: x, timout: 1m, retry: { maks: 3 } }, b: { uses: http, with: { url: u, mehtod: GET } } }\ntriggers: [{ corn: "@daily" }]\nx-mine: 1',
  );
  assert.deepEqual(
    issues
      .filter((issue) => issue.code === 'unknown-key')
      .map(({ path, suggestion, line }) => `${line} ${path} ${suggestion}`),
    [
      '2 parms did you mean "params"?',
      '3 tasks.a.timout did you mean "timeout"?',
      '3 tasks.a.retry.maks did you mean "max"?',
      '3 tasks.b.with.mehtod did you mean "method"?',
      '4 triggers[0].corn did you mean "cron"?',
    ],
  );
});

test('names and ids', () => {
  const issues = parse(
    'name: My Flow\nproject: _x\ntasks: { my-task: { run: x }, 1a: { run: x }, constructor: { run: x }, __proto__: { run: x } }',
  );
  assert.deepEqual(
    issues.map(({ code, path }) => `${code} ${path}`),
    ['reserved-id tasks.__proto__'],
  );
  const others = parse(
    'name: My Flow\nproject: _x\ntasks: { my-task: { run: x }, 1a: { run: x }, constructor: { run: x } }',
  );
  assert.deepEqual(
    others.map(({ code, suggestion }) => `${code} ${suggestion}`),
    [
      'bad-name use "my-flow"',
      'bad-name use "x"',
      'bad-id use "my_task"',
      'bad-id use "_1a"',
      'reserved-id use "constructor_"',
    ],
  );
});

test('needs', () => {
  const issues = parse(
    withTasks(
      'extract: { run: x }\nb: { run: x, needs: [extrct, b, extract, extract] }\nc: { run: x, needs: extract }\nd: { run: x, needs: { extract: [succeded] } }\ne: { run: x, needs: { nothing: failed } }\nf: { run: x, needs: { extract: [] } }',
    ),
  );
  assert.deepEqual(
    issues.map(({ code, line, column, suggestion }) => `${code} ${line}:${column} ${suggestion}`),
    [
      'unknown-need 5:24 did you mean "extract"?',
      'self-need 5:32 undefined',
      'duplicate-need 5:44 undefined',
      'bad-type 6:23 write a list: [extract]',
      'bad-value 7:35 did you mean "succeeded"?',
      'unknown-need 8:25 undefined',
      'out-of-range 9:34 undefined',
    ],
  );
});

test('cycles are named in the order in which the tasks wait', () => {
  const [issue, ...others] = parse(
    withTasks(
      'z: { run: x, needs: [a] }\na: { run: x, needs: [c] }\nb: { run: x, needs: [a] }\nc: { run: x, needs: [b] }',
    ),
  );
  assert.deepEqual(others, []);
  assert.equal(issue?.code, 'cycle');
  assert.match(issue?.message ?? '', /a → b → c → a$/);
  assert.deepEqual([issue?.line, issue?.column], [5, 24]);
});

test('durations, times and cron', () => {
  assert.deepEqual(
    places(
      withTasks(
        'a: { run: x, timeout: 15 min, delay: 10 }\nb: { run: x, timeout: 0s, retry: -1, priority: 200 }\nc: { run: x, timeout: 9999d, retry: many }',
      ),
    ),
    ['bad-duration 4:25', 'bad-type 4:40', 'out-of-range 5:36', 'out-of-range 5:50', 'bad-type 6:39'],
  );
  assert.deepEqual(places(withTasks('a: { run: x, timeout: 0s }\nb: { run: x, timeout: 9999d }')), [
    'bad-duration 4:25',
    'bad-duration 5:25',
  ]);
  const issues = parse(
    'name: a\ntimezone: Asia/Shangai\ntriggers: [{ cron: "61 * * * *" }, { cron: "@daily", timezone: Mars, params: { x: 1 } }, { cron: "@daily" }, { cron: "@daily" }]\ntasks: { a: { run: x } }',
  );
  assert.deepEqual(
    issues.map(({ code, path }) => `${code} ${path}`),
    [
      'bad-timezone timezone',
      'bad-cron triggers[0].cron',
      'bad-timezone triggers[1].timezone',
      'unknown-param triggers[1].params.x',
      'duplicate-trigger triggers[3]',
    ],
  );
  assert.equal(issues[0]?.suggestion, 'did you mean "Asia/Shanghai"?');
});

test('what a task does', () => {
  assert.deepEqual(
    places(
      withTasks(
        'a: { run: x, uses: http }\nb: { needs: [a] }\nc: { uses: shel }\nd: { uses: http }\ne: { run: x, with: { run: y } }\nf: { run: x, with: { shell: zsh } }\ng: { run: 5 }\nh:',
      ),
    ),
    [
      'run-and-uses 4:16',
      'no-action 5:3',
      'unknown-task-type 6:14',
      'missing-key 7:3',
      'run-twice 8:24',
      'bad-value 9:31',
      'bad-type 10:13',
      'bad-type 11:5',
    ],
  );
});

test('expressions: each mistake at its value', () => {
  const issues = parse(
    withTasks(`a: { uses: http, with: { url: "\${{ params.dya }}" } }
b: { needs: [a], uses: http, with: { url: "\${{ tasks.a.outputs.x }} \${{ 1 + }}" } }
c: { needs: [b], uses: http, with: { url: "\${{ secrets.X }}", headers: { K: "\${{ secrets.X }}" } }, env: { A: "\${{ foo(1) }}" } }
d: { run: x, if: "tasks.c.state == 'failed'", env: { B: "\${{ tasks.d.state }}" } }
e: { run: "echo \${{ params.day }}", if: "\${{ params.dry }}" }
f: { uses: sql, with: { datasource: w, sql: "select \${{ params.day }}" } }
g: { uses: node, with: { module: "\${{ params.day }}" } }
h: { run: x, if: "params.day +", env: { C: "\${{ tasks.zz.state }}", D: "\${{ params.day" } }
i: { needs: [c], run: x, if: "tasks.a.state == 'succeeded'" }`),
  );
  assert.deepEqual(
    issues.map(({ code, line, path }) => `${code} ${line} ${path}`),
    [
      'unknown-param 4 tasks.a.with.url',
      'expression-syntax 5 tasks.b.with.url',
      'secret-not-allowed 6 tasks.c.with.url',
      'unknown-function 6 tasks.c.env.A',
      'not-upstream 7 tasks.d.if',
      'self-reference 7 tasks.d.env.B',
      'expression-in-code 8 tasks.e.run',
      'bare-expression 8 tasks.e.if',
      'expression-in-code 9 tasks.f.with.sql',
      'expression-not-allowed 10 tasks.g.with.module',
      'expression-syntax 11 tasks.h.if',
      'unknown-task 11 tasks.h.env.C',
      'unclosed-expression 11 tasks.h.env.D',
    ],
  );
  assert.match(
    issues.find((issue) => issue.path === 'tasks.e.run')?.suggestion ?? '',
    /env: \{ DAY: "\$\{\{ params.day \}\}" \}/,
  );
  assert.equal(issues.find((issue) => issue.path === 'tasks.e.if')?.suggestion, 'if: "params.dry"');
});

test('env', () => {
  assert.deepEqual(
    parse(
      withTasks(
        'a: { run: x, env: { 1A: x, KEELSON_TASK: y, MODE: 0644, OK: 0, OFF: false, M: { a: b } } }\nb: { run: x, env: { 1A: x, KEELSON_TASK: y, MODE: 0644, OK: 0, OFF: false } }',
      ),
    ).map(({ code, line, path }) => `${code} ${line} ${path}`),
    [
      'bad-type 4 tasks.a.env.M',
      'bad-env-name 5 tasks.b.env["1A"]',
      'reserved-env-name 5 tasks.b.env.KEELSON_TASK',
      'ambiguous-text 5 tasks.b.env.MODE',
    ],
  );
});

test('params and files', () => {
  const issues = parse(`name: a
files: [../x, /etc/passwd, ok]
params:
  a: { type: integer, default: "3" }
  b: { type: string, enum: [x, 1], default: z }
  c: { type: dat }
  d: { default: 3 }
  e: { type: date, default: 2026-02-30 }
  f: { type: string, default: "\${{ params.a }}" }
  g-h: { type: string }
  i: { type: json, default: [ "\${{ run.nope }}" ] }
triggers: [{ cron: "@daily", params: { a: x, e: "\${{ run.time }}" } }]
tasks: { a: { run: x } }`);
  assert.deepEqual(
    issues.filter(({ severity }) => severity === 'error').map(({ code, line, path }) => `${code} ${line} ${path}`),
    [
      'bad-path 2 files[0]',
      'bad-path 2 files[1]',
      'bad-default 4 params.a.default',
      'bad-enum 5 params.b.enum[1]',
      'param-not-in-enum 5 params.b.default',
      'bad-value 6 params.c.type',
      'missing-key 7 params.d.type',
      'bad-default 8 params.e.default',
      'params-not-allowed 9 params.f.default',
      'bad-id 10 params.g-h',
      'unknown-variable 11 params.i.default[0]',
      'bad-param 12 triggers[0].params.a',
      'expression-not-allowed 12 triggers[0].params.e',
    ],
  );
  assert.deepEqual(
    issues.filter(({ severity }) => severity === 'warning').map(({ code }) => code),
    ['missing-param'],
  );
});

test('warnings alone do not refuse a definition', () => {
  const result = parseDefinition(
    'name: a\nparams: { day: { type: date } }\ntriggers: [{ cron: "@daily" }]\ntasks: { a: { run: x } }',
    options,
  );
  assert.deepEqual(
    result.issues.map(({ severity, code }) => `${severity} ${code}`),
    ['warning missing-param'],
  );
  assert.ok(result.definition);
});

test('objects that are no JSON are refused', () => {
  const base = { name: 'a', tasks: { a: { run: 'x' } } };
  const cyclic: Record<string, unknown> = { ...base };
  cyclic['x-self'] = cyclic;
  const codes = (object: unknown): string[] => definitionFromObject(object, options).issues.map(({ code }) => code);
  assert.deepEqual(codes(cyclic), ['too-deep']);
  assert.deepEqual(codes({ ...base, title: () => 1 }), ['not-json']);
  assert.deepEqual(codes({ ...base, title: new Date(0) }), ['not-json']);
  assert.deepEqual(codes({ ...base, title: 1n }), ['not-json']);
  assert.deepEqual(codes({ ...base, 'x-n': Number.NaN }), ['not-json']);
  assert.deepEqual(codes({ ...base, 'x-n': 2 ** 60 }), ['imprecise-number']);
  assert.deepEqual(codes(null), ['bad-type']);
  assert.deepEqual(codes({ ...base, title: undefined }), []);
});

test('the default of a parameter cannot read the id that the instance does not have yet', () => {
  const text = 'name: a\nparams:\n  x: { type: string, default: "${{ run.id }}" }\ntasks:\n  t: { run: "true" }\n';
  assert.deepEqual(places(text), ['unknown-variable 3:31']);
});

test('a limit that says no more than its policy is left out; every other one is kept', () => {
  const rule = (concurrency: unknown): unknown =>
    definitionFromObject({ name: 'a', tasks: { t: { run: 'true' } }, concurrency }, options).definition?.concurrency;
  assert.deepEqual(rule(undefined), { policy: 'parallel' });
  assert.deepEqual(rule({ policy: 'serial-wait', limit: 1 }), { policy: 'serial-wait' });
  assert.deepEqual(rule({ policy: 'serial-priority', limit: 4 }), { policy: 'serial-priority', limit: 4 });
  assert.deepEqual(rule({ limit: 1 }), { policy: 'parallel', limit: 1 });
  const slots = [{ policy: 'parallel' }, { policy: 'parallel', limit: 2 }, { policy: 'serial-discard' }] as const;
  assert.deepEqual(slots.map(slotsOf), [null, 2, 1]);
});

test('mistakes in concurrency are said where they are', () => {
  const said = (concurrency: unknown): (string | undefined)[] => {
    const { issues } = definitionFromObject({ name: 'a', tasks: { t: { run: 'true' } }, concurrency }, options);
    return issues.flatMap(({ code, path, message, suggestion }) => [`${code} ${path}: ${message}`, suggestion]);
  };
  assert.deepEqual(said({ limit: 0 }), ['out-of-range concurrency.limit: must be at least 1, not 0', undefined]);
  assert.deepEqual(said({ policy: 'serial-wiat' }).at(-1), 'did you mean "serial-wait"?');
  assert.deepEqual(said('serial-wait').at(-1), 'concurrency: { policy: serial-wait }');
  assert.deepEqual(said({ polcy: 'serial-wait' })[0]?.split(' ')[0], 'unknown-key');
});
