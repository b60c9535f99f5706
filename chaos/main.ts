/** `npm run chaos`: real processes on a real PostgreSQL, faults upon them, and the proof of what became of the work. */
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCampaign } from './campaign.ts';
import type { Campaign } from './campaign.ts';
import { NEMESIS_NAMES, USAGE, parseOptions } from './options.ts';
import type { ChaosOptions } from './options.ts';
import { textOf } from './report.ts';
import type { Verdict } from './report.ts';

const EXIT: Readonly<Record<Verdict, number>> = { passed: 0, violated: 1, invalid: 2 };
const USAGE_EXIT = 64;

async function main(options: ChaosOptions): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-chaos-'));
  await chmod(folder, 0o755);
  const began = Date.now();
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());
  const say = (line: string): void =>
    void process.stderr.write(`${((Date.now() - began) / 1000).toFixed(1).padStart(7)} ${line}\n`);
  try {
    const campaign = await runCampaign({ ...options, folder, say, signal: interrupted.signal });
    const { report } = campaign;
    console.log(options.json ? JSON.stringify(report, null, 2) : textOf(report));
    if (options.keep !== undefined) await keep(campaign, folder, options.keep);
    return EXIT[report.verdict];
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Everything that the verdict was made from. */
async function keep({ report, evidence }: Campaign, folder: string, into: string): Promise<void> {
  await mkdir(into, { recursive: true });
  await cp(folder, into, {
    recursive: true,
    filter: (path) => path === folder || /\/(?:ledger|[^/]+\.log)$/.test(path),
  });
  await writeFile(join(into, 'report.json'), JSON.stringify(report, null, 2));
  const wishes = evidence.wishes.map((wish) => ({ ...wish, acknowledged: [...wish.acknowledged] }));
  await writeFile(join(into, 'evidence.json'), JSON.stringify({ instances: evidence.instances, wishes }));
}

const parsed = parseOptions(process.argv.slice(2));
switch (parsed.kind) {
  case 'help':
    console.log(USAGE);
    break;
  case 'list':
    console.log(NEMESIS_NAMES.join('\n'));
    break;
  case 'refused':
    console.error(`${parsed.message}\n\n${USAGE}`);
    process.exitCode = USAGE_EXIT;
    break;
  case 'run':
    process.exitCode = await main(parsed.options);
}
