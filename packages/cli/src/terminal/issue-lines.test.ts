import assert from 'node:assert/strict';
import { test } from 'node:test';
import { issueLines, issueSummary } from './issue-lines.ts';

const paint = (_style: unknown, text: string) => text;
const issue = {
  severity: 'error',
  code: 'unknown-key',
  message: 'unknown key "nedes"',
  suggestion: 'did you mean "needs"?',
  path: 'tasks.load.nedes',
  file: 'a.yaml',
  line: 2,
  column: 4,
} as const;

test('place, words, code, the line with a caret, and the help', () => {
  assert.deepEqual(issueLines(issue, { paint, excerpt: true, sourceOf: () => 'one\n\t  nedes: [a]\r\nthree' }), [
    'a.yaml:2:4: error: unknown key "nedes" (unknown-key at tasks.load.nedes)',
    '  2 | \t  nedes: [a]',
    '      \t  ^',
    '  help: did you mean "needs"?',
  ]);
});

test('without a place, a source or a terminal there is no excerpt', () => {
  const { line: _line, column: _column, ...placeless } = issue;
  assert.deepEqual(issueLines(placeless, { paint, excerpt: true, sourceOf: () => 'x' }).length, 2);
  assert.deepEqual(issueLines(issue, { paint, excerpt: true, sourceOf: () => undefined }).length, 2);
  assert.deepEqual(issueLines(issue, { paint, excerpt: false, sourceOf: () => 'a\nb' }).length, 2);
});

test('the caret stands right under wide characters, and a long line is shown around the place', () => {
  const wide = issueLines({ ...issue, line: 1, column: 3 }, { paint, excerpt: true, sourceOf: () => '日本x' });
  assert.equal(wide[2], '          ^');
  const long = issueLines(
    { ...issue, line: 1, column: 5000 },
    { paint, excerpt: true, sourceOf: () => `${'a'.repeat(4999)}b${'c'.repeat(5000)}` },
  );
  const caret = (long[2] ?? '').indexOf('^');
  assert.equal((long[1] ?? '')[caret], 'b');
  assert.ok((long[1] ?? '').length < 200);
});

test('counts', () => {
  assert.equal(issueSummary([issue, issue, { ...issue, severity: 'warning' }]), '2 errors, 1 warning');
});
