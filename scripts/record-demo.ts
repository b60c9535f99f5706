/**
 * `npx node scripts/record-demo.ts`: runs the examples on a fresh `keelson dev`, and draws what the commands really printed as
 * docs/images/demo.svg. With `--text` it prints the session instead.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { terminalSvg } from './demo/terminal-svg.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const KEELSON = join(ROOT, 'node_modules/.bin/keelson');
const COLUMNS = 104;

/** As typed; instance ids are those of a fresh database. */
const SESSION: readonly (readonly string[])[] = [
  ['apply', 'examples/daily-etl', 'examples/failure'],
  ['run', 'daily-etl', '-p', 'day=2015-07-04', '--wait'],
  ['logs', '1/report'],
  ['run', 'failure'],
  ['why', '2'],
];

const folder = await mkdtemp(join(tmpdir(), 'keelson-demo-'));
const dev = spawn(KEELSON, ['dev', '--port', '0', '--data', join(folder, 'data'), '--json'], {
  stdio: ['ignore', 'pipe', 'ignore'],
});
try {
  const [line] = (await once(createInterface({ input: dev.stdout }), 'line')) as [string];
  const { url, token } = JSON.parse(line) as { url: string; token: string };
  const asText = process.argv.includes('--text');
  const colours = asText ? { NO_COLOR: '1' } : { FORCE_COLOR: '1' };
  const prompt = asText ? '$' : '\u001b[90m$\u001b[39m';
  const env = { PATH: process.env['PATH'], KEELSON_URL: url, KEELSON_TOKEN: token, ...colours };
  const lines: string[] = [];
  for (const args of SESSION) {
    // The last question comes while something waits: the failing example waits for a retry and a timeout.
    lines.push(`${prompt} npx keelson ${args.join(' ')}`, ...(await output(args, env)), '');
  }
  if (asText) process.stdout.write(`${lines.join('\n')}\n`);
  else {
    await mkdir(join(ROOT, 'docs/images'), { recursive: true });
    await writeFile(join(ROOT, 'docs/images/demo.svg'), terminalSvg(lines.slice(0, -1), COLUMNS));
  }
} finally {
  dev.kill('SIGTERM');
  await once(dev, 'exit');
  await rm(folder, { recursive: true, force: true });
}

async function output(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string[]> {
  const child = spawn(KEELSON, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  const readers = [child.stdout, child.stderr].map((input) => {
    const reader = createInterface({ input }).on('line', (line) => lines.push(line));
    return once(reader, 'close');
  });
  await Promise.all(readers);
  return lines;
}
