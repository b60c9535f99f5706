import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dependencyCycle, dependentsOf } from './dependency-graph.ts';

const graph = (edges: Readonly<Record<string, readonly string[]>>) => new Map(Object.entries(edges));

test('a circle of dependencies is told in the order of a run', () => {
  assert.equal(dependencyCycle(graph({ a: [], b: ['a'], c: ['a', 'b'], d: ['gone'] })), undefined);
  const circle = dependencyCycle(graph({ x: [], a: ['c', 'x'], b: ['a'], c: ['b'], y: ['a'] }));
  // Each follows the one before it.
  assert.deepEqual(circle?.toSorted(), ['a', 'b', 'c']);
  assert.equal(circle?.indexOf('b'), ((circle?.indexOf('a') ?? 0) + 1) % 3);
  assert.deepEqual(dependencyCycle(graph({ a: ['a'] })), ['a']);
});

test('dependents follow what they depend on, and others are left out', () => {
  const all = graph({ b: ['a'], c: ['a'], d: ['c', 'b', 'elsewhere'], e: ['d'], f: ['elsewhere'], a: ['before'] });
  assert.deepEqual(dependentsOf('a', all), ['a', 'b', 'c', 'd', 'e']);
  assert.deepEqual(dependentsOf('c', all), ['c', 'd', 'e']);
  assert.deepEqual(dependentsOf('nobody', all), ['nobody']);
});

test('graphs at random: a circle exactly when there is no order', () => {
  const node = fc.integer({ min: 0, max: 6 });
  fc.assert(
    fc.property(fc.array(fc.tuple(node, node), { maxLength: 12 }), (edges) => {
      const all = new Map<string, string[]>();
      for (const [from, to] of edges) all.set(`n${to}`, [...(all.get(`n${to}`) ?? []), `n${from}`]);
      const circle = dependencyCycle(all);
      if (circle !== undefined) {
        for (const [index, name] of circle.entries())
          assert.ok(all.get(name)?.includes(circle.at(index - 1) ?? ''), circle.join(' → '));
        return;
      }
      const order = dependentsOf('n0', all);
      for (const [index, name] of order.entries())
        for (const upstream of all.get(name) ?? [])
          if (order.includes(upstream)) assert.ok(order.indexOf(upstream) < index);
    }),
  );
});

test('a chain of thousands of workflows is no recursion', () => {
  const chain = new Map(
    Array.from({ length: 20_000 }, (_, index) => [`w${index}`, index === 0 ? [] : [`w${index - 1}`]]),
  );
  assert.equal(dependencyCycle(chain), undefined);
  chain.set('w0', ['w19999']);
  assert.equal(dependencyCycle(chain)?.length, 20_000);
});
