import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { drive } from './testing/drive.ts';
import { instanceWorld } from './testing/instance-world.ts';
import type { InstanceWorld } from './testing/instance-world.ts';
import { definitionOf, scenario } from './testing/scenario.ts';
import { referenceEnds } from './testing/reference.ts';

function checkRest(it: InstanceWorld): void {
  assert.deepEqual([it.ready.size, it.delayed.size, it.active.size], [0, 0, 0], 'nothing is left in line or running');
}

test('a random workflow with random outcomes ends as the reference says', () => {
  fc.assert(
    fc.property(scenario, ({ specs, order }) => {
      const definition = definitionOf(specs, 'continue');
      const it = instanceWorld(definition);
      drive(it, specs, order);
      checkRest(it);
      const expected = referenceEnds(definition, (task) => specs[Number(task.slice(1))]?.fates ?? []);
      assert.deepEqual(Object.fromEntries(it.ends), Object.fromEntries(expected.tasks));
      assert.equal(it.state.end, expected.instance);
      assert.equal(it.instance().unfinished, 0);
      assert.equal(it.counters.size, 0, 'no counter is left');
    }),
    { numRuns: 400 },
  );
});

test('with onFailure: end every task ends, and after a failure nothing starts that does not accept one', () => {
  fc.assert(
    fc.property(scenario, ({ specs, order }) => {
      const definition = definitionOf(specs, 'end');
      const it = instanceWorld(definition);
      drive(it, specs, order);
      checkRest(it);
      assert.equal(it.ends.size, specs.length);
      assert.equal(it.counters.size, 0);
      const failed = [...it.ends].filter(
        ([task, end]) => end === 'failed' && definition.tasks[task]?.allowFailure !== true,
      );
      assert.equal(it.state.end, failed.length > 0 ? 'failed' : 'succeeded');
    }),
    { numRuns: 300 },
  );
});

test('a stop at any moment ends the instance, and never changes a task that has ended', () => {
  fc.assert(
    fc.property(scenario, fc.nat({ max: 30 }), ({ specs, order, onFailure }, stopAt) => {
      const it = instanceWorld(definitionOf(specs, onFailure));
      drive(it, specs, order, stopAt);
      checkRest(it);
      assert.equal(it.ends.size, specs.length, 'every task has an end state');
    }),
    { numRuns: 300 },
  );
});
