import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { TreeTask } from './task-tree.ts';
import { layoutTree } from './task-tree.ts';

function drawn(tasks: readonly TreeTask[]): string[] {
  return layoutTree(tasks).map(
    ({ prefix, task, alsoNeeds }) => `${prefix}${task}${alsoNeeds.length > 0 ? ` + ${alsoNeeds.join(',')}` : ''}`,
  );
}

test('a fan-out and its join', () => {
  assert.deepEqual(
    drawn([
      { task: 'extract', needs: [] },
      { task: 'clean', needs: ['extract'] },
      { task: 'enrich', needs: ['extract'] },
      { task: 'load', needs: ['clean', 'enrich'] },
      { task: 'report', needs: ['load'] },
      { task: 'alone', needs: [] },
    ]),
    ['extract', '├─ clean', '│  load + enrich', '│  report', '└─ enrich', 'alone'],
  );
});

test('a task hangs under the deepest of its needs, wherever it stands in the file', () => {
  assert.deepEqual(
    drawn([
      { task: 'd', needs: ['a', 'c'] },
      { task: 'c', needs: ['b'] },
      { task: 'b', needs: ['a'] },
      { task: 'a', needs: [] },
    ]),
    ['a', 'b', 'c', 'd + a'],
  );
});

test('a chain of ten thousand stays in one column, and takes no stack', () => {
  const chain = Array.from({ length: 10_000 }, (_value, index) => ({
    task: `t${index}`,
    needs: index === 0 ? [] : [`t${index - 1}`],
  }));
  const rows = layoutTree(chain.toReversed());
  assert.equal(rows.length, 10_000);
  assert.ok(rows.every(({ prefix }) => prefix === ''));
});

test('every task is drawn once and after one of its needs, whatever the graph', () => {
  const graphs = fc.array(fc.array(fc.nat(), { maxLength: 4 }), { maxLength: 40 }).map((needs) =>
    needs.map((list, index): TreeTask => ({
      task: `t${index}`,
      needs: index === 0 ? [] : [...new Set(list.map((need) => `t${need % index}`))],
    })),
  );
  fc.assert(
    fc.property(graphs, fc.infiniteStream(fc.nat()), (tasks, order) => {
      const shuffled = tasks
        .map((task) => ({ task, key: order.next().value as number }))
        .toSorted((a, b) => a.key - b.key)
        .map(({ task }) => task);
      const rows = layoutTree(shuffled);
      assert.deepEqual(rows.map(({ task }) => task).toSorted(), tasks.map(({ task }) => task).toSorted());
      const seen = new Set<string>();
      for (const { task, alsoNeeds } of rows) {
        const needs = tasks.find((one) => one.task === task)?.needs ?? [];
        assert.equal(alsoNeeds.length, Math.max(0, needs.length - 1));
        const parent = needs.filter((need) => !alsoNeeds.includes(need));
        assert.ok(parent.every((need) => seen.has(need)));
        seen.add(task);
      }
    }),
  );
});
