import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openServers } from './servers.ts';

test('a server that fails hands over to the next; one that is gone gives up the calls that wait for it', async (t) => {
  const servers = openServers(['http://a:1', 'http://b:2/below/']);
  t.after(() => servers.close());
  const first = servers.current();
  assert.deepEqual([first.name, first.path], ['http://a:1', '/worker/v1/']);
  const waiting = first.gone();
  servers.failed(first, 'refusing');
  assert.equal(waiting.aborted, false, 'what is under way there may end there');
  const second = servers.current();
  assert.deepEqual([second.name, second.path], ['http://b:2', '/below/worker/v1/']);
  servers.failed(first, 'gone');
  assert.equal(waiting.aborted, true);
  assert.equal(servers.current(), second, 'a late failure of another one changes nothing');
  servers.failed(second, 'gone');
  assert.equal(servers.current(), first);
  assert.equal(first.gone().aborted, false, 'it gets another chance');
});

test('servers that are named by a server are used until they are named no more; those given stay', async (t) => {
  const servers = openServers(['http://a:1']);
  t.after(() => servers.close());
  const given = servers.current();
  servers.learn(['http://b:2', ' http://a:1/', 'nonsense', 'ftp://c']);
  servers.failed(given, 'gone');
  assert.equal(servers.current().name, 'http://b:2');
  servers.learn([]);
  assert.equal(servers.current().name, 'http://b:2', 'in use, it stays for now');
  servers.failed(servers.current(), 'gone');
  servers.learn([]);
  assert.equal(servers.current(), given);
  servers.failed(given, 'gone');
  assert.equal(servers.current(), given, 'there is no other');
});

test('the same server twice is one; none, or what is no URL, is refused without its password', async (t) => {
  const servers = openServers(['http://a:1', 'http://a:1/']);
  t.after(() => servers.close());
  const one = servers.current();
  servers.failed(one, 'gone');
  assert.equal(servers.current(), one);
  assert.throws(() => openServers([]), /at least one/);
  assert.throws(
    () => openServers(['ftp://u:secret@h']),
    (error: Error) => /no http/.test(error.message) && !/secret/.test(error.message),
  );
});
