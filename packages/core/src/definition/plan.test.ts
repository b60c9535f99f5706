import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { definitionFromObject, parseDefinition } from './parse.ts';
import { compileWorkflow } from './plan.ts';
import { SAMPLE_DEFINITION, sampleTaskTypes } from './testing/task-types.ts';

const options = { taskTypes: sampleTaskTypes };

test('the plan of a definition', () => {
  const { definition } = parseDefinition(SAMPLE_DEFINITION, options);
  assert.ok(definition);
  const plan = compileWorkflow(definition);
  assert.deepEqual(plan.roots, ['extract']);
  assert.deepEqual([...plan.tasks.keys()], ['extract', 'clean', 'load', 'notify']);
  const rows = [...plan.tasks.values()].map((task) => [
    task.needs,
    task.successors,
    task.conditionRefs,
    task.inputRefs,
    task.secretRefs,
    task.condition?.text,
  ]);
  assert.deepEqual(rows, [
    [[], ['clean'], [], [], ['API'], undefined],
    [['extract'], ['load', 'notify'], [], ['extract'], [], undefined],
    [['clean'], ['notify'], ['extract'], [], [], '!params.dryRun && tasks.extract.outputs.rows > 0'],
    [['load', 'clean'], [], [], [], ['HOOK'], undefined],
  ]);
});

interface RandomTask {
  readonly needs: number[];
  readonly reads: number[];
}

/** Any graph over up to 12 tasks, forwards and backwards, in a random order of the file. */
const randomGraph = fc.integer({ min: 1, max: 12 }).chain((size) => {
  const other = fc.uniqueArray(fc.nat(size - 1), { maxLength: 4 });
  return fc.array(fc.record<RandomTask>({ needs: other, reads: other }), { minLength: size, maxLength: size });
});

/** A graph without cycles: edges go from smaller to larger, the file lists the tasks in some other order. */
const randomDag = fc.tuple(randomGraph, fc.infiniteStream(fc.nat())).map(([graph, noise]) => {
  const tasks = graph.map((task, id) => ({ id, needs: task.needs.filter((need) => need < id), reads: task.reads }));
  const keys = new Map(tasks.map(({ id }) => [id, noise.next().value ?? 0]));
  return tasks.toSorted((a, b) => (keys.get(a.id) ?? 0) - (keys.get(b.id) ?? 0));
});

const name = (id: number): string => `t${id}`;

function fileOf(tasks: readonly (RandomTask & { readonly id: number })[]): unknown {
  const entries = tasks.map(({ id, needs, reads }) => [
    name(id),
    {
      run: 'true',
      needs: needs.map(name),
      env: Object.fromEntries(reads.map((read) => [`R${read}`, `\${{ tasks.${name(read)}.state }}`])),
    },
  ]);
  return { name: 'random', tasks: Object.fromEntries(entries) as unknown };
}

/** All tasks above one, the slow and plain way. */
function upstream(tasks: ReadonlyMap<number, RandomTask>, id: number): Set<number> {
  const found = new Set<number>();
  const visit = (at: number): void => {
    for (const need of tasks.get(at)?.needs ?? []) {
      if (found.has(need)) continue;
      found.add(need);
      visit(need);
    }
  };
  visit(id);
  return found;
}

test('random graphs without cycles: plan and reference agree', () => {
  fc.assert(
    fc.property(randomDag, (tasks) => {
      const byId = new Map(tasks.map((task) => [task.id, task]));
      const readable = tasks.map((task) => ({
        ...task,
        reads: task.reads.filter((read) => upstream(byId, task.id).has(read)),
      }));
      const { definition, issues } = definitionFromObject(fileOf(readable), options);
      assert.deepEqual(issues, []);
      assert.ok(definition);
      const plan = compileWorkflow(definition);
      assert.deepEqual(
        plan.roots,
        tasks.filter(({ needs }) => needs.length === 0).map(({ id }) => name(id)),
      );
      for (const { id, needs, reads } of readable) {
        const task = plan.tasks.get(name(id));
        assert.deepEqual(task?.needs, needs.map(name));
        assert.deepEqual(
          task?.successors,
          tasks.filter((other) => other.needs.includes(id)).map((other) => name(other.id)),
        );
        assert.deepEqual(new Set(task?.inputRefs), new Set(reads.map(name)));
      }
    }),
    { numRuns: 300 },
  );
});

test('random graphs of any kind: exactly what is wrong is refused', () => {
  fc.assert(
    fc.property(randomGraph, (graph) => {
      const tasks = graph.map((task, id) => ({ ...task, id, needs: task.needs.filter((need) => need !== id) }));
      const byId = new Map(tasks.map((task) => [task.id, task]));
      const cyclic = tasks.some(({ id }) => upstream(byId, id).has(id));
      const { issues } = definitionFromObject(fileOf(tasks), options);
      const selfReads = tasks.filter(({ id, reads }) => reads.includes(id)).length;
      assert.equal(issues.filter(({ code }) => code === 'self-reference').length, selfReads);
      assert.equal(
        issues.some(({ code }) => code === 'cycle'),
        cyclic,
      );
      if (cyclic) return;
      const expected = tasks.flatMap(({ id, reads }) =>
        reads
          .filter((read) => read !== id && !upstream(byId, id).has(read))
          .map((read) => `tasks.${name(id)}.env.R${read}`),
      );
      assert.deepEqual(
        issues
          .filter(({ code }) => code === 'not-upstream')
          .map(({ path }) => path)
          .toSorted(),
        expected.toSorted(),
      );
    }),
    { numRuns: 500 },
  );
});
