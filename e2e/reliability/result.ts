import { appendFileSync } from 'node:fs';
import type { TestContext } from 'node:test';

/** `KEELSON_SCENARIO_TRIALS` makes every scenario so many times as long; 1 by default. */
export const TRIALS = Math.max(1, Number(process.env['KEELSON_SCENARIO_TRIALS'] ?? 1));

export interface Result {
  readonly scenario: string;
  /** What was tried, in the scenario's own unit. */
  readonly trials: number;
  readonly unit: string;
  readonly faults: number;
  readonly violations: readonly string[];
}

/** Says the result in one line, to the test's output and to the file that `npm run scenarios` collects. */
export function sayResult(t: TestContext, { scenario, trials, unit, faults, violations }: Result): void {
  const line = `${scenario}: ${trials} ${unit}, ${faults} faults injected, ${violations.length} violations`;
  t.diagnostic(line);
  const file = process.env['KEELSON_SCENARIO_RESULTS'];
  if (file !== undefined) appendFileSync(file, `${line}\n`);
}
