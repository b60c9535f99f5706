import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { check } from './check/check.ts';
import type { Injection } from './injection.ts';
import { reportOf, textOf } from './report.ts';
import type { Happened } from './report.ts';
import { evidence } from './testing/scene.ts';

const injection = (given: Partial<Injection> = {}): Injection => ({
  nemesis: 'kill-master',
  group: 'kill-master',
  target: 'master-1',
  beganAt: 0,
  healedAt: 1000,
  bit: true,
  proof: 'process 7 ended by SIGKILL',
  ...given,
});

function happened(given: Partial<Happened> = {}): Happened {
  return {
    options: {
      minutes: 1,
      seed: 7,
      rate: 4,
      nemeses: undefined,
      workflows: undefined,
      plant: undefined,
      keep: undefined,
      json: false,
    },
    startedAt: 0,
    endedAt: 1000,
    settledMs: 10,
    injections: [injection()],
    chosen: ['kill-master'],
    unavailable: {},
    missing: [],
    counters: {},
    unaskedEnds: [],
    tally: check(evidence({})).tally,
    violations: [],
    recoveries: new Map(),
    ...given,
  };
}

describe('the verdict', () => {
  it('is passed when faults bit, work went on and no rule was broken', () => {
    const report = reportOf(happened());
    assert.deepEqual([report.verdict, report.doubts], ['passed', []]);
    assert.match(textOf(report), /PASSED.*--minutes 1 --seed 7/);
  });

  it('is invalid when a nemesis never bit', () => {
    const report = reportOf(
      happened({ injections: [injection(), injection({ nemesis: 'cut', group: 'cut', bit: false })] }),
    );
    assert.equal(report.verdict, 'invalid');
    assert.match(report.doubts.join(), /cut never bit/);
  });

  it('is invalid when nothing happened, or what was asked for did not', () => {
    assert.equal(reportOf(happened({ injections: [] })).verdict, 'invalid');
    const options = { ...happened().options, nemeses: ['kill-master', 'kill-worker'] };
    const report = reportOf(happened({ options, chosen: ['kill-master', 'kill-worker'] }));
    assert.match(report.doubts.join(), /kill-worker was asked for and never drawn/);
  });

  it('is invalid when there was too little progress', () => {
    assert.match(reportOf(happened({ endedAt: 3_600_000 })).doubts.join(), /only 2 tasks succeeded in 60/);
    const tally = { ...happened().tally, asked: 100, acknowledged: 10 };
    assert.match(reportOf(happened({ tally })).doubts.join(), /only 10 of 100 starts/);
  });

  it('is violated when a rule was broken, however invalid the run is besides', () => {
    const violations = [{ rule: 'overlap', detail: 'two at once' }];
    assert.equal(reportOf(happened({ violations, injections: [] })).verdict, 'violated');
    assert.equal(reportOf(happened({ counters: { keelson_sweeper_redrives_total: 1 } })).verdict, 'violated');
  });
});
