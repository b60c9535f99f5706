/** `npm run lint`: every check runs, also after one has failed, so that one run shows everything. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name: string) => fileURLToPath(new URL(`../node_modules/.bin/${name}`, import.meta.url));

const checks: { name: string; command: string; args: string[] }[] = [
  { name: 'types', command: bin('tsc'), args: ['-p', 'tsconfig.json'] },
  { name: 'rules', command: bin('oxlint'), args: ['--type-aware', '--deny-warnings'] },
  { name: 'format', command: bin('oxfmt'), args: ['--check'] },
  { name: 'generated', command: process.execPath, args: ['scripts/generate.ts', '--check'] },
  { name: 'structure', command: process.execPath, args: ['scripts/check-structure.ts'] },
];

const failed: string[] = [];
for (const { name, command, args } of checks) {
  const started = performance.now();
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error !== undefined) console.error(`lint: ${command} cannot be run: ${error.message}`);
  if (status !== 0) failed.push(name);
  console.log(
    `lint: ${name} ${status === 0 ? 'ok' : 'FAILED'} (${((performance.now() - started) / 1000).toFixed(1)} s)`,
  );
}
if (failed.length > 0) {
  console.error(
    `lint: failed: ${failed.join(', ')}${failed.includes('format') ? ' ("npm run format" mends the format)' : ''}`,
  );
  process.exitCode = 1;
}
