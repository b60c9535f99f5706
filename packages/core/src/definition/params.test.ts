import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { runContext } from '../expression/scope.ts';
import type { JsonValue } from '../json.ts';
import type { ParamDefinition } from './model.ts';
import { resolveParams } from './params.ts';

const run = runContext({
  id: 'i1',
  workflow: 'w',
  project: 'p',
  timeUtc: '2026-01-31T18:30:00Z',
  zone: 'Asia/Shanghai',
});
type Values = Record<string, JsonValue>;
const resolve = (
  declared: Record<string, ParamDefinition>,
  start: Values = {},
  project: Values = {},
): ReturnType<typeof resolveParams> => resolveParams({ declared, start, project, run });

test('a start value wins over the default, the default over the project', () => {
  const declared: Record<string, ParamDefinition> = {
    a: { type: 'string', default: 'own' },
    b: { type: 'string', default: 'own' },
    c: { type: 'string' },
  };
  const { params, issues } = resolve(
    declared,
    { a: 'start' },
    { a: 'project', b: 'project', c: 'project', extra: { x: 1 } },
  );
  assert.deepEqual(issues, []);
  assert.deepEqual(params, { a: 'start', b: 'own', c: 'project', extra: { x: 1 } });
});

test('a default may read the run; a time becomes what the type asks for', () => {
  const time = "${{ shift(run.time, '-1d') }}";
  const { params, issues } = resolve({
    day: { type: 'date', default: time },
    at: { type: 'datetime', default: time },
    text: { type: 'string', default: time },
    file: { type: 'string', default: "sales-${{ fmt(run.time, 'yyyyMMdd') }}.csv" },
    n: { type: 'integer', default: '${{ 6 * 7 }}' },
    j: { type: 'json', default: { id: ['${{ run.id }}'] } },
  });
  assert.deepEqual(issues, []);
  assert.deepEqual(params, {
    day: '2026-01-31',
    at: '2026-01-31T02:30:00+08:00',
    text: '2026-01-31T02:30:00+08:00',
    file: 'sales-20260201.csv',
    n: 42,
    j: { id: ['i1'] },
  });
});

test('start values are never evaluated', () => {
  assert.deepEqual(resolve({ a: { type: 'string' } }, { a: '${{ run.id }}' }).params, { a: '${{ run.id }}' });
});

test('text from a command line is read by type', () => {
  const good: [ParamDefinition['type'], string, JsonValue][] = [
    ['integer', '3', 3],
    ['integer', '-12', -12],
    ['number', '1.5e3', 1500],
    ['boolean', 'true', true],
    ['boolean', 'false', false],
    ['date', '2024-02-29', '2024-02-29'],
    ['datetime', '2026-01-31T00:00:00+08:00', '2026-01-31T00:00:00+08:00'],
    ['json', '{"a":[1]}', { a: [1] }],
    ['json', 'null', null],
    ['string', '3', '3'],
  ];
  for (const [type, text, read] of good)
    assert.deepEqual(resolve({ v: { type } }, { v: text }), { params: { v: read }, issues: [] }, `${type} ${text}`);
  const bad: [ParamDefinition['type'], JsonValue][] = [
    ['integer', 'abc'],
    ['integer', '1.5'],
    ['integer', ''],
    ['integer', '9007199254740993'],
    ['integer', 1.5],
    ['integer', true],
    ['number', 'NaN'],
    ['number', '0x10'],
    ['boolean', 'yes'],
    ['boolean', 1],
    ['date', '2026-02-29'],
    ['date', '2026-01-31T00:00:00Z'],
    ['datetime', '2026-01-31'],
    ['datetime', '2026-01-31T00:00:00'],
    ['json', '{a}'],
    ['string', 3],
    ['string', null],
  ];
  for (const [type, value] of bad) {
    const { params, issues } = resolve({ v: { type } }, { v: value });
    assert.deepEqual([issues.map(({ code }) => code), params], [['bad-param'], {}], `${type} ${JSON.stringify(value)}`);
  }
});

test('what is missing, unknown, not allowed or cannot be evaluated', () => {
  const { issues } = resolve(
    {
      day: { type: 'date' },
      region: { type: 'string', enum: ['eu', 'us'] },
      broken: { type: 'integer', default: '${{ run.id }}' },
      odd: { type: 'string', default: '${{ params.day }}' },
    },
    { dya: '2026-01-01', region: 'cn', __proto__x: 1 },
  );
  assert.deepEqual(
    issues.map(({ name, code }) => `${name} ${code}`),
    [
      'dya unknown-param',
      '__proto__x unknown-param',
      'day missing-param',
      'region param-not-in-enum',
      'broken bad-param',
      'odd bad-default',
    ],
  );
  assert.match(issues[0]?.message ?? '', /did you mean "day"/);
  assert.match(issues[3]?.message ?? '', /one of "eu", "us", not "cn"/);
});

test('a value that is written as text and read back is the same', () => {
  const typed = fc.oneof(
    fc.tuple(fc.constant<ParamDefinition['type']>('integer'), fc.maxSafeInteger()),
    fc.tuple(
      fc.constant<ParamDefinition['type']>('number'),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0 || 0),
    ),
    fc.tuple(fc.constant<ParamDefinition['type']>('boolean'), fc.boolean()),
    fc.tuple(fc.constant<ParamDefinition['type']>('string'), fc.string()),
    fc.tuple(
      fc.constant<ParamDefinition['type']>('json'),
      fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as JsonValue),
    ),
    fc.tuple(
      fc.constant<ParamDefinition['type']>('date'),
      fc
        .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
        .map((date) => date.toISOString().slice(0, 10)),
    ),
  );
  fc.assert(
    fc.property(typed, ([type, value]) => {
      const text = type === 'json' || typeof value !== 'string' ? JSON.stringify(value) : value;
      assert.deepEqual(resolve({ v: { type } }, { v: text }), { params: { v: value }, issues: [] });
      // As JSON the value itself is taken too; json parameters read text as JSON text.
      if (type !== 'json') assert.deepEqual(resolve({ v: { type } }, { v: value }).params, { v: value });
    }),
  );
});

test('what cannot be stored is refused, wherever it stands', () => {
  const declared: Record<string, ParamDefinition> = {
    text: { type: 'string', default: '' },
    tree: { type: 'json', default: null },
    made: { type: 'string', default: "${{ 'a\\u0000' }}" },
  };
  const bottomless = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const messages = (start: Values): string[] => resolve(declared, { made: '', ...start }).issues.map((i) => i.message);
  assert.deepEqual(messages({ text: 'a\0b', tree: { list: ['\ud800'] } }), [
    'parameter text holds a NUL character (U+0000), which cannot be stored',
    'parameter tree holds half of a surrogate pair, which cannot be stored',
  ]);
  assert.deepEqual(messages({ tree: { 'a\0': 1 } }), [
    'parameter tree holds a NUL character (U+0000), which cannot be stored',
  ]);
  assert.deepEqual(messages({ tree: bottomless }), ['parameter tree is nested deeper than 100 levels']);
  assert.deepEqual(
    resolve(declared, {}).issues.map(({ name }) => name),
    ['made'],
  );
  assert.deepEqual(messages({ text: '😀', tree: JSON.parse('{"__proto__":{"a":1}}') as JsonValue }), []);
});
