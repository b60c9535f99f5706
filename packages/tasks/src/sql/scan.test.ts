import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { bindStatements } from './bind.ts';
import { scanSql, type Dialect } from './scan.ts';

const DIALECTS = ['postgresql', 'mysql'] as const;

/** The text that goes to the driver when `name` and `n` are bound to 1. */
function bound(sql: string, dialect: Dialect): string {
  const params = Object.fromEntries(
    scanSql(sql, dialect).flatMap((piece) => (piece.kind === 'name' ? [[piece.name, 1]] : [])),
  );
  const binding = bindStatements([sql], dialect, params);
  assert.ok(binding.ok, binding.ok ? '' : binding.message);
  return binding.statements[0]?.text ?? '';
}

function unchanged(dialect: Dialect, ...sqls: string[]): void {
  for (const sql of sqls) assert.equal(bound(sql, dialect), sql);
}

describe('scanSql', () => {
  it('finds names in code', () => {
    assert.equal(bound('insert into t values (:a,:b, :a)', 'postgresql'), 'insert into t values ($1,$2, $1)');
    assert.equal(bound('insert into t values (:a,:b, :a)', 'mysql'), 'insert into t values (?,?, ?)');
    assert.equal(bound(':a::int + x::int', 'postgresql'), '$1::int + x::int');
    assert.equal(bound("'a':a'b'", 'postgresql'), "'a'$1'b'");
  });

  it('leaves casts, assignments and slices by number alone', () => {
    for (const dialect of DIALECTS)
      unchanged(dialect, 'x::name', 'x :: name', '@a := 1', 'f(a := 1)', 'arr[1:2]', 'a : b');
  });

  it('leaves quotes and comments alone in both dialects', () => {
    for (const dialect of DIALECTS) {
      unchanged(
        dialect,
        "':x'",
        "'it''s :x'",
        '":x"',
        '"a"":x"',
        '-- :x',
        '-- :x\nselect 1',
        '/* :x */',
        "'unclosed :x",
        '/* unclosed :x',
      );
      assert.equal(bound("-- it's\n:x", dialect), `-- it's\n${dialect === 'mysql' ? '?' : '$1'}`);
    }
  });

  it('knows the quotes of PostgreSQL', () => {
    unchanged(
      'postgresql',
      '$$ :x $$',
      '$fn$ :x $$ :y $fn$',
      "E'\\' :x'",
      "e'\\\\' || ':x'",
      '/* a /* b */ :x */',
      'a ? b',
      "U&':x'",
    );
    assert.equal(bound("'\\' || :x", 'postgresql'), "'\\' || $1");
    assert.equal(bound('a$b$ || :x || a$b$', 'postgresql'), 'a$b$ || $1 || a$b$');
    assert.equal(bound('/* a */ :x /* b */', 'postgresql'), '/* a */ $1 /* b */');
    assert.equal(bound('5 # 3 + :x', 'postgresql'), '5 # 3 + $1');
  });

  it('knows the quotes of MySQL', () => {
    unchanged('mysql', "'\\' :x'", '"\\" :x"', '`:x`', '`a``:x`', '# :x', '/* a /* :x */');
    assert.equal(bound('5--:x', 'mysql'), '5--?');
    assert.equal(bound('/* a /* b */ :x', 'mysql'), '/* a /* b */ ?');
    assert.equal(bound('$$ :x $$', 'mysql'), '$$ ? $$');
  });

  it('loses no character of any text', () => {
    const sqlLike = fc
      .array(
        fc.constantFrom(
          "'",
          '"',
          '`',
          '$',
          '$$',
          '$a$',
          '\\',
          '--',
          '/*',
          '*/',
          '\n',
          ' ',
          ':',
          ':a',
          '::',
          '?',
          '$1',
          'e',
          'E',
          'x',
          'é',
          '#',
          '1',
        ),
      )
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.oneof(sqlLike, fc.string({ unit: 'binary' })), fc.constantFrom(...DIALECTS), (sql, dialect) => {
        assert.equal(
          scanSql(sql, dialect)
            .map((piece) => piece.text)
            .join(''),
          sql,
        );
      }),
      { numRuns: 1000 },
    );
  });

  it('binds exactly the names that stand in code, whatever lies around them', () => {
    const word = fc.stringMatching(/^[a-z_][a-z0-9_]{0,6}$/);
    const inner = fc
      .array(fc.oneof(fc.constantFrom(':a', '::', '?', '$1', ' ', ';', '--', '/*', '#', "''", '\n'), word))
      .map((parts) => parts.join(''));
    const hidden: Readonly<Record<Dialect, fc.Arbitrary<string>>> = {
      postgresql: fc.oneof(
        inner.map((text) => `'${text}'`),
        inner.map((text) => `"${text}"`),
        inner.map((text) => `-- ${text.replaceAll('\n', ' ')}\n`),
        inner.map((text) => `/*${text.replaceAll('/*', '')}*/`),
        inner.map((text) => `/*/*${text.replaceAll('/*', '')}*/ :a */`),
        inner.map((text) => `$q$${text}$q$`),
        inner.map((text) => `E'\\'${text}'`),
      ),
      mysql: fc.oneof(
        inner.map((text) => `'${text}'`),
        inner.map((text) => `"${text}\\""`),
        inner.map((text) => `\`${text}\``),
        inner.map((text) => `-- ${text.replaceAll('\n', ' ')}\n`),
        inner.map((text) => `# ${text.replaceAll('\n', ' ')}\n`),
        // Comments do not nest here, so that `/*/` within one would end it.
        inner.map((text) => `/*${text.replaceAll('/', '')}*/`),
      ),
    };
    const code = fc.oneof(word, fc.constantFrom('x::int', '=', ',', '(', ')', '1.5', 'a[1:2]'));
    const part = (dialect: Dialect) =>
      fc.oneof(
        code.map((text) => ({ text })),
        hidden[dialect].map((text) => ({ text })),
        word.map((name) => ({ text: `:${name}`, name })),
      );
    for (const dialect of DIALECTS) {
      fc.assert(
        fc.property(fc.array(part(dialect)), (parts: { text: string; name?: string }[]) => {
          const found = scanSql(parts.map(({ text }) => text).join(' '), dialect).flatMap((piece) =>
            piece.kind === 'text' ? [] : [piece.text],
          );
          assert.deepEqual(
            found,
            parts.flatMap(({ name }) => (name === undefined ? [] : [`:${name}`])),
          );
        }),
        { numRuns: 500 },
      );
    }
  });
});

describe('bindStatements', () => {
  const message = (sqls: string[], params = {}, dialect: Dialect = 'postgresql') => {
    const binding = bindStatements(sqls, dialect, params);
    assert.ok(!binding.ok);
    return binding.message;
  };

  it('numbers the values by name in PostgreSQL and by place in MySQL', () => {
    const sql = 'select :b, :a, :b';
    const values = (dialect: Dialect) => {
      const binding = bindStatements([sql], dialect, { a: 1, b: 'x' });
      return binding.ok && binding.statements[0]?.values;
    };
    assert.deepEqual(values('postgresql'), ['x', 1]);
    assert.deepEqual(values('mysql'), ['x', 1, 'x']);
  });

  it('gives a list as an array, or as JSON where that is meant', () => {
    const binding = bindStatements(['select :l, :l::jsonb, :l::json[], :l'], 'postgresql', { l: [1] });
    assert.deepEqual(binding, {
      ok: true,
      statements: [{ text: 'select $1, $2::jsonb, $1::json[], $1', values: [[1], '[1]'] }],
    });
    const mysql = bindStatements(['select :l'], 'mysql', { l: [1] });
    assert.deepEqual(mysql.ok && mysql.statements[0]?.values, ['[1]']);
  });

  it('names what has no value, with a suggestion', () => {
    assert.match(
      message(['select 1', 'select :dayy'], { day: 1 }),
      /statement 2 uses :dayy, which is not in params; did you mean "day"\?.*params holds "day"/,
    );
    assert.match(message(['select arr[lo:hi]']), /uses :hi.*space after the colon/);
    assert.match(message(['select :constructor']), /uses :constructor/);
  });

  it('names what no statement uses', () => {
    assert.match(message(['select 1'], { day: 1 }), /params holds "day", but no statement uses :day/);
    assert.equal(bindStatements(['select :a', 'select :b'], 'postgresql', { a: 1, b: 2 }).ok, true);
  });

  it("refuses the driver's own placeholders, which would take a wrong value", () => {
    assert.match(message(['select $1']), /placeholder \$1; write :name/);
    assert.match(message(['select ?'], {}, 'mysql'), /placeholder \?; write :name/);
  });
});
