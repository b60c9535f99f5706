import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { definitionFromObject, parseDefinition } from './parse.ts';
import { compileWorkflow } from './plan.ts';
import { SAMPLE_DEFINITION, sampleTaskTypes } from './testing/task-types.ts';

const options = { taskTypes: sampleTaskTypes };

interface Edit {
  readonly at: number;
  readonly cut: number;
  readonly insert: string;
}

const fragment = fc.oneof(
  fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ':',
    '!',
    '&x ',
    '*often',
    '<<: ',
    '"',
    "'",
    '\n',
    '\n  ',
    '\t',
    '- ',
    '#',
    '|',
    '${{',
    '}}',
    '__proto__',
    'null',
    '1e999',
    '0x1F',
    '? ',
    '%',
    '\u0000',
    '---\n',
  ),
  fc.string({ maxLength: 6 }),
);
const edit = fc.record<Edit>({ at: fc.nat(SAMPLE_DEFINITION.length), cut: fc.nat(12), insert: fragment });

test('a file with random damage never throws, and every issue has its place', () => {
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 5 }), (edits) => {
      const text = edits.reduce(
        (whole, { at, cut, insert }) => whole.slice(0, at) + insert + whole.slice(at + cut),
        SAMPLE_DEFINITION,
      );
      const { definition, issues } = parseDefinition(text, options);
      const lines = text.split(/\n/).length;
      for (const issue of issues) {
        assert.ok(
          issue.line !== undefined && issue.line >= 1 && issue.line <= lines + 1,
          `${issue.code} at line ${issue.line}`,
        );
        assert.ok(issue.column !== undefined && issue.column >= 1, `${issue.code} at column ${issue.column}`);
        assert.match(issue.code, /^[a-z][a-z-]*$/);
      }
      assert.equal(
        definition === undefined,
        issues.some(({ severity }) => severity === 'error'),
      );
      if (definition) compileWorkflow(definition);
    }),
    { numRuns: 1500 },
  );
});

test('any object at all gives issues or a definition that compiles', () => {
  const anything = fc.object({
    key: fc.oneof(
      fc.constantFrom(
        'name',
        'tasks',
        'params',
        'a',
        'run',
        'needs',
        'if',
        'type',
        'default',
        'triggers',
        'cron',
        'env',
        'with',
        'uses',
      ),
      fc.string(),
    ),
    maxDepth: 4,
  });
  fc.assert(
    fc.property(anything, fc.boolean(), (object, named) => {
      const { definition } = definitionFromObject(
        named ? { ...object, name: 'a', tasks: { a: { run: 'x', ...object } } } : object,
        options,
      );
      if (definition) compileWorkflow(definition);
    }),
    { numRuns: 1000 },
  );
});
