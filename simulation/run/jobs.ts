import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Arguments } from './arguments.ts';
import { judgeSeed } from './campaign.ts';
import type { JobNews } from './campaign.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

/** The verdicts on this process's share of the seeds, in order. */
export async function* ownSeeds({ seeds, part, plant }: Arguments): AsyncGenerator<JobNews> {
  const { number, of } = part ?? { number: 0, of: 1 };
  for (let seed = seeds.first + number; seed <= seeds.last; seed += of) yield await judgeSeed(seed, plant);
}

/** The same from several processes that share the seeds. Whoever stops listening ends them. */
export async function* sharedSeeds({ seeds, jobs, plant }: Arguments): AsyncGenerator<JobNews> {
  const queue: JobNews[] = [];
  let wake: () => void = () => undefined;
  let running = 0;
  let failed: Error | undefined;
  const children = Array.from({ length: jobs }, (_, number): ChildProcess => {
    const planted = plant === undefined ? [] : ['--plant', plant];
    const args = [MAIN, '--seeds', `${seeds.first}..${seeds.last}`, '--part', `${number}/${jobs}`, ...planted];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    running++;
    createInterface({ input: child.stdout }).on('line', (line) => {
      queue.push(JSON.parse(line) as JobNews);
      wake();
    });
    child.on('close', (code) => {
      running--;
      if (code !== 0) failed = new Error(`job ${number} of ${jobs} ended with code ${code}`);
      wake();
    });
    return child;
  });
  try {
    while (running > 0 || queue.length > 0) {
      const next = queue.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
    if (failed !== undefined) throw failed;
  } finally {
    for (const child of children) child.kill();
  }
}
