import type { Arguments } from './arguments.ts';
import { addToTally, emptyTally, failureText, tallyText } from './report.ts';
import { runSeed } from './seed.ts';

/** Something that a job tells the process that started it, one JSON line each. */
export type JobNews =
  | { readonly kind: 'clean'; readonly seed: number; readonly hash: string; readonly numbers: readonly number[] }
  | { readonly kind: 'broken'; readonly seed: number; readonly rule: string; readonly text: string };

/** Runs one seed; a failed one is run again to see its trace. */
export async function judgeSeed(seed: number, plant: string | undefined): Promise<JobNews> {
  const result = await runSeed(seed, { trace: false });
  if (result.violation === undefined) {
    const { hash, instances, runs, events, simulatedMs } = result;
    return { kind: 'clean', seed, hash, numbers: [instances, runs, events, simulatedMs] };
  }
  const again = await runSeed(seed, { trace: true });
  return { kind: 'broken', seed, rule: result.violation.rule, text: failureText(again, plant) };
}

/**
 * Runs the seeds, and answers the exit code: without a plant 0 if all are clean; with one 0 if it was caught.
 *
 * @param news the verdicts, in any order, as they come
 */
export async function campaign(
  { plant, seeds }: Pick<Arguments, 'plant' | 'seeds'>,
  news: AsyncIterable<JobNews>,
  print: (line: string) => void,
): Promise<number> {
  const startedAt = performance.now();
  const tally = emptyTally();
  let broken = 0;
  for await (const each of news) {
    if (each.kind === 'clean') {
      const [instances = 0, runs = 0, events = 0, simulatedMs = 0] = each.numbers;
      addToTally(tally, { instances, runs, events, simulatedMs });
      if (tally.seeds % 500 === 0) print(`${tally.seeds} seeds clean so far`);
      continue;
    }
    broken++;
    if (plant !== undefined) {
      print(`${plant}: caught at seed ${each.seed} (${each.seed - seeds.first + 1} seeds looked at), by ${each.rule}`);
      return 0;
    }
    print(each.text);
  }
  const tookMs = performance.now() - startedAt;
  if (plant !== undefined) {
    print(`${plant}: NOT caught by seeds ${seeds.first} to ${seeds.last}`);
    return 1;
  }
  print(`${tallyText(tally, tookMs)}${broken === 0 ? '' : `; ${broken} seeds broken`}`);
  return broken === 0 ? 0 : 1;
}
