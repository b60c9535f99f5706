import assert from 'node:assert/strict';
import { it } from 'node:test';
import { datasourceText, parseDatasourceUrl } from './datasource.ts';

it('reads URLs of both kinds, decoded, with default ports', () => {
  assert.deepEqual(parseDatasourceUrl('postgresql://me:p%40ss@db.example:6432/sales?sslmode=require'), {
    ok: true,
    datasource: {
      kind: 'postgresql',
      host: 'db.example',
      port: 6432,
      database: 'sales',
      user: 'me',
      password: 'p@ss',
      tls: true,
    },
  });
  assert.deepEqual(parseDatasourceUrl('mariadb://me@[::1]/sales'), {
    ok: true,
    datasource: { kind: 'mysql', host: '::1', port: 3306, database: 'sales', user: 'me', password: '' },
  });
});

it('says what is wrong without repeating the password', () => {
  const urls = [
    'oracle://me:s3cret@h/d',
    'postgresql://me:s3cret@h',
    'postgresql://:s3cret@h/d',
    'mysql://me:s3cret%zz@h/d',
    'postgresql://me:s3cret@h/d?x=1',
    'not a URL s3cret',
  ];
  for (const url of urls) {
    const reading = parseDatasourceUrl(url);
    assert.ok(!reading.ok, url);
    assert.doesNotMatch(reading.message, /s3cret/);
  }
});

it('shows a datasource without its password', () => {
  const reading = parseDatasourceUrl('postgresql://me:s3cret@[::1]/sales');
  assert.ok(reading.ok);
  assert.equal(datasourceText(reading.datasource), 'postgresql://me@[::1]:5432/sales');
});
