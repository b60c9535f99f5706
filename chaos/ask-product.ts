import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Violation } from './check/evidence.ts';

const KEELSON = fileURLToPath(new URL('../packages/cli/bin/keelson.js', import.meta.url));
const LONGEST_MS = 300_000;
const run = promisify(execFile);

/** What the product's own checks say of the database in the end: `keelson doctor`, and `keelson verify` where there is one. */
export async function askProduct(url: string, token: string): Promise<Violation[]> {
  const keelson = async (...args: string[]): Promise<{ clean: boolean; said: string }> => {
    const env = { ...process.env, KEELSON_URL: url, KEELSON_TOKEN: token, NO_COLOR: '1' };
    try {
      const { stdout } = await run(process.execPath, [KEELSON, ...args], { env, timeout: LONGEST_MS });
      return { clean: true, said: stdout };
    } catch (error) {
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      return { clean: false, said: `${stdout}${stderr}`.trim() };
    }
  };
  const commands = await keelson('--help');
  const checks = ['doctor', 'verify'].filter((name) => new RegExp(`^\\s+${name}\\b`, 'm').test(commands.said));
  const found: Violation[] = [];
  for (const name of checks) {
    const { clean, said } = await keelson(name);
    if (!clean) found.push({ rule: name, detail: said.slice(0, 3000) });
  }
  return found;
}
