import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import type { JsonValue } from '../json.ts';
import { expressionRefs } from './compile.ts';
import { compileCondition, evaluateCondition, renderTemplate } from './evaluate.ts';
import { ExpressionError } from './expression-error.ts';
import type { Scope } from './scope.ts';
import { runContext } from './scope.ts';

const run = runContext({
  id: 'i1',
  workflow: 'w',
  project: 'p',
  timeUtc: '2026-01-31T18:30:00Z',
  zone: 'Asia/Shanghai',
});
const scope: Scope = {
  params: {
    day: '2026-01-31',
    n: 3,
    half: 0.5,
    text: 'hi',
    flag: false,
    list: [1, 2, 3],
    map: { a: { b: 'deep' } },
    nothing: null,
  },
  run,
  tasks: { extract: { state: 'succeeded', outputs: { rows: 7 } } },
  secrets: { KEY: 's3cret' },
};

const value = (expression: string): JsonValue => renderTemplate(`\${{ ${expression} }}`, scope);

function refusal(expression: string, code: string): ExpressionError {
  try {
    value(expression);
  } catch (error) {
    assert.ok(error instanceof ExpressionError, String(error));
    assert.equal(error.code, code, `${expression}: ${error.message}`);
    return error;
  }
  throw new assert.AssertionError({ message: `${expression} was not refused` });
}

test('a whole-value expression keeps its type', () => {
  const expected: Record<string, JsonValue> = {
    'params.n': 3,
    'params.n + 1': 4,
    'params.n * params.half': 1.5,
    'params.flag': false,
    'params.map': { a: { b: 'deep' } },
    'params.list.map(x, x * 2)': [2, 4, 6],
    'params.nothing': null,
    'size(params.list)': 3,
    'tasks.extract.outputs.rows': 7,
    "{'a': [1, 'x', 2.5], 'b': params.n}": { a: [1, 'x', 2.5], b: 3 },
    "params.text.startsWith('h')": true,
    "params.text.matches('^h.$')": true,
    "'b' in params.map.a": true,
    'has(params.map.x)': false,
    '2 in params.list': true,
    "params.flag ? 'yes' : 'no'": 'no',
    "secrets.KEY + '!'": 's3cret!',
    'run.workflow': 'w',
    "params['n']": 3,
    'string(params.n)': '3',
  };
  for (const [expression, result] of Object.entries(expected)) assert.deepEqual(value(expression), result, expression);
});

test('in other strings values become text', () => {
  assert.equal(
    renderTemplate('n=${{ params.n }} ${{params.map}} ${{ params.nothing }}.', scope),
    'n=3 {"a":{"b":"deep"}} .',
  );
  assert.deepEqual(renderTemplate({ a: ['${{ params.n }}', 1], '${{ params.n }}': null }, scope), {
    a: [3, 1],
    '${{ params.n }}': null,
  });
  assert.equal(renderTemplate("${{ '}}' }}${{ \"it's\" }}", scope), "}}it's");
});

test('times and dates', () => {
  const expected: Record<string, JsonValue> = {
    'run.time': '2026-02-01T02:30:00+08:00',
    "shift(run.time, '-1d')": '2026-01-31T02:30:00+08:00',
    'date(run.time)': '2026-02-01',
    "fmt(run.time, 'yyyyMMdd')": '20260201',
    "fmt(params.day, 'EEE')": 'Sat',
    "shift(params.day, '1M')": '2026-02-28',
    "date('2026-01-31')": '2026-01-31',
    "shift(run.time, '-1d') < run.time": true,
    "date(run.time) == date('2026-02-01')": true,
    "time('2026-01-31T18:30:00Z') == run.time": true,
    "fmt('2026-01-31T18:30:00Z', 'HH')": '02',
    "time('2026-02-01')": '2026-02-01T00:00:00+08:00',
    "shift(date(run.time), '-1d')": '2026-01-31',
    'string(date(run.time))': '2026-02-01',
  };
  for (const [expression, result] of Object.entries(expected)) assert.deepEqual(value(expression), result, expression);
});

test('says what does not exist, and what was meant', () => {
  assert.match(refusal('params.texd', 'missing-value').suggestion ?? '', /"text"/);
  assert.match(
    refusal('tasks.extract.outputs.row', 'missing-value').message,
    /tasks.extract.outputs.row does not exist.*has rows/,
  );
  assert.match(refusal('tasks.extract.output', 'unknown-variable').suggestion ?? '', /tasks.extract.outputs/);
  assert.match(refusal('prams.n', 'unknown-variable').suggestion ?? '', /"params"/);
  assert.match(refusal('shfit(run.time, "1d")', 'unknown-function').suggestion ?? '', /"shift"/);
  assert.match(refusal('run.attempt', 'unknown-variable').message, /id, workflow, project, time/);
  assert.match(refusal("'n' + params.n", 'expression-type').suggestion ?? '', /string\(x\)/);
  assert.equal(refusal('1 + ', 'expression-syntax').position, 3);
  assert.equal(value('params.flag && params.absent'), false);
});

test('refuses what could go wrong later', () => {
  refusal("shift(run.time, '1x')", 'bad-argument');
  refusal("fmt(run.time, 'yyyyTT')", 'bad-argument');
  refusal('tasks[params.text].state', 'dynamic-reference');
  refusal('secrets', 'dynamic-reference');
  refusal('params.list.map(run, run)', 'hidden-variable');
  refusal('cel.bind(a, 1, a)', 'unknown-function');
  refusal("params.text.matches('(')", 'evaluation-failed');
  refusal('1 / 0', 'division-by-zero');
  refusal('params.list[9]', 'missing-value');
  refusal('9007199254740993', 'not-json');
  refusal(`'${'x'.repeat(5000)}'`, 'expression-too-long');
  refusal(`${'('.repeat(100)}1${')'.repeat(100)}`, 'expression-too-long');
});

test('a pattern that would hang a backtracking engine takes no time', () => {
  assert.equal(
    renderTemplate('${{ params.s.matches("(a+)+$") }}', { ...scope, params: { s: `${'a'.repeat(5000)}!` } }),
    false,
  );
});

test('nested loops over large values are refused before they start', () => {
  const large: Scope = { ...scope, params: { list: Array.from({ length: 5000 }, (_, index) => index) } };
  assert.throws(() => renderTemplate('${{ params.list.map(x, params.list.filter(y, y == x)) }}', large), {
    code: 'expression-too-costly',
  });
  assert.equal(renderTemplate('${{ params.list.filter(x, x > 4990).map(x, params.list[x]).size() }}', large), 9);
});

test('no prototype can be reached', () => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    assert.throws(() => value(`params["${name}"]`), ExpressionError, name);
    assert.throws(() => value(`params.map["${name}"]`), ExpressionError, name);
    assert.throws(() => value(`params.text["${name}"]`), ExpressionError, name);
    assert.throws(() => value(`params.list["${name}"]`), ExpressionError, name);
    assert.throws(() => value(`tasks["${name}"].state`), ExpressionError, name);
    assert.throws(() => value(`run.time["${name}"]`), ExpressionError, name);
  }
  const hostile: Scope = { ...scope, params: JSON.parse('{"o":{"__proto__":{"x":1},"constructor":"c"}}') };
  const rendered = renderTemplate('${{ params.o }}', hostile) as Record<string, unknown>;
  assert.equal(Object.getPrototypeOf(rendered), Object.prototype);
  assert.equal(rendered.x, undefined);
  assert.equal(renderTemplate('${{ params.o.constructor }}', hostile), 'c');
});

test('conditions must be boolean', () => {
  assert.equal(evaluateCondition('!params.flag && tasks.extract.state == "succeeded"', scope), true);
  assert.equal(evaluateCondition(compileCondition('params.n > 5'), scope), false);
  assert.throws(() => evaluateCondition('params.n', scope), { code: 'not-boolean' });
  assert.throws(() => compileCondition('1 + 1'), { code: 'not-boolean' });
  assert.throws(() => compileCondition(''), { code: 'empty-expression' });
});

test('names what an expression reads', () => {
  assert.deepEqual(
    expressionRefs(
      "params.a + params['b'] + tasks.t.outputs.x + tasks['u'].state + secrets.K + run.id + (has(params.c) ? 'y' : 'n')",
    ),
    {
      params: ['a', 'b', 'c'],
      allParams: false,
      tasks: ['t', 'u'],
      secrets: ['K'],
      run: ['id'],
    },
  );
  assert.equal(expressionRefs('params').allParams, true);
  assert.deepEqual(expressionRefs('tasks.a.outputs.list.filter(item, item.ok && params.x).map(item, item.n)').params, [
    'x',
  ]);
});

test('any JSON value that goes through an expression comes out the same', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (given) => {
      // -0 has no JSON form; bigints inside the language have none either.
      const json = JSON.parse(JSON.stringify(given)) as JsonValue;
      assert.deepEqual(renderTemplate('${{ params.v }}', { ...scope, params: { v: json } }), json);
    }),
  );
});

test('text without expressions is never changed, and none makes rendering throw anything but its own error', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      if (!text.includes('${{')) assert.equal(renderTemplate(text, scope), text);
      for (const hostile of [`\${{${text}}}`, `\${{ ${text}`, `a\${{ params.text }}${text}`]) {
        try {
          renderTemplate(hostile, scope);
        } catch (error) {
          assert.ok(error instanceof ExpressionError, String(error));
        }
      }
    }),
    { numRuns: 500 },
  );
});
