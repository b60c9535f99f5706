import { setTimeout as delay } from 'node:timers/promises';
import type { Exit, ManagedProcess } from '../cluster/process.ts';
import { anywhere } from './nemesis.ts';
import type { Nemesis, Scene } from './nemesis.ts';

const DRAINED_WITHIN_MS = 60_000;

/** SIGTERM to one process after the other; each must drain, exit with 0, and is started again before it is the next one's turn. */
export const rollingRestart: Nemesis = {
  name: 'rolling-restart',
  summary: 'every server and every worker is told to end and started again, one after the other',
  holdSeconds: [0, 0],
  obstacle: anywhere,
  begin: async (scene) => {
    const { cluster, random, victims } = scene;
    const nodes = [...random.shuffled(cluster.servers), ...random.shuffled(cluster.workers)];
    let restarted = 0;
    const restart = async (): Promise<void> => {
      for (const node of nodes) {
        const victim = takeOr(scene, node);
        if (victim === undefined) continue;
        if (await drainAndStart(victim.process, scene)) restarted++;
        victims.release(victim);
      }
    };
    const restarting = restart().then(
      () => undefined,
      (error: unknown) => error,
    );
    return {
      target: 'every process in turn',
      heal: async () => {
        const error = await restarting;
        if (error !== undefined) throw error;
        return { bit: restarted > 0, proof: `${restarted} of ${nodes.length} processes restarted` };
      },
    };
  },
};

function takeOr<Node extends { readonly name: string }>({ victims, random }: Scene, node: Node): Node | undefined {
  try {
    return victims.take([node], random);
  } catch {
    return undefined;
  }
}

async function drainAndStart(process: ManagedProcess, { complain }: Scene): Promise<boolean> {
  process.expectEnd();
  if (!process.signal('SIGTERM')) return false;
  const exit = await Promise.race([process.exited(), delay(DRAINED_WITHIN_MS).then(() => undefined)]);
  if (exit === undefined) {
    complain('drain', `${process.name} had not ended ${DRAINED_WITHIN_MS / 1000} s after SIGTERM`);
    process.signal('SIGKILL');
    await process.exited();
  } else if (exit.code !== 0) complain('drain', `${process.name} ended with ${ended(exit)} after SIGTERM, not with 0`);
  await process.start();
  return true;
}

function ended({ code, signal }: Exit): string {
  return signal === null ? `exit code ${code}` : `signal ${signal}`;
}
