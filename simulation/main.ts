/**
 * `npm run simulate`: whole clusters in simulated time, one for each seed. Planted bugs must be in the sources before the product is loaded,
 * so everything that imports it is loaded late.
 */
import { readArguments, USAGE } from './run/arguments.ts';
import type { Arguments } from './run/arguments.ts';
import { installPlants } from './plants/install.ts';
import { PLANTS } from './plants/table.ts';

const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(options: Arguments): Promise<number> {
  if (options.listPlants) {
    for (const { name } of PLANTS) print(name);
    return 0;
  }
  const plant = PLANTS.find(({ name }) => name === options.plant);
  if (options.plant !== undefined && plant === undefined)
    throw new Error(`there is no plant ${options.plant}; --list-plants prints their names`);
  if (plant?.runsOn === 'postgres') {
    const { runOnPostgres } = await import('./plants/on-postgres.ts');
    return runOnPostgres(plant, print);
  }
  if (plant !== undefined) installPlants([plant.name]);
  const { campaign } = await import('./run/campaign.ts');
  const { ownSeeds, sharedSeeds } = await import('./run/jobs.ts');
  if (options.part !== undefined) {
    for await (const news of ownSeeds(options)) print(JSON.stringify(news));
    return 0;
  }
  if (options.trace) {
    const { runSeed } = await import('./run/seed.ts');
    for (let seed = options.seeds.first; seed <= options.seeds.last; seed++)
      await runSeed(seed, { trace: false, print });
  }
  return campaign(options, options.jobs > 1 ? sharedSeeds(options) : ownSeeds(options), print);
}

let options: Arguments;
try {
  options = readArguments(process.argv.slice(2));
  process.exitCode = await main(options);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}\n`);
  process.exitCode = 2;
}
