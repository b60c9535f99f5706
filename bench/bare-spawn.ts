/** The bare cost of a shell task: a small process that spawns the same command, as many at once as a worker would. */
import { spawn } from 'node:child_process';
import type { Answer } from './child.ts';

function spawnOnce(command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    child.stdout.resume();
    child.stderr.resume();
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`exit code ${code}`))));
  });
}

async function spawnAll(command: string, count: number, width: number): Promise<number> {
  const began = performance.now();
  let left = count;
  const line = async (): Promise<void> => {
    while (left > 0) {
      left--;
      await spawnOnce(command);
    }
  };
  await Promise.all(Array.from({ length: width }, line));
  return (performance.now() - began) / 1000;
}

process.on('message', (message: Answer) => {
  const { command, count, width } = message as Answer & { command: string; count: number; width: number };
  spawnAll(command, count, width).then(
    (seconds) => process.send?.({ type: 'spawned', seconds }),
    (error: unknown) => process.send?.({ type: 'failed', message: String(error) }),
  );
});
process.once('disconnect', () => process.exit(0));
