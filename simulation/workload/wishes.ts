import type { Dice } from '../clock/random.ts';
import type { ClientNode } from '../nodes/client-node.ts';
import type { World } from '../world/world.ts';
import { drawWorkflow } from './workflows.ts';

/** Draws workflows, and moments of the first two thirds of the fault phase at which the client wants one of them to run. */
export function scheduleWishes({ timeline, addVersion }: World, client: ClientNode, dice: Dice, faultMs: number): void {
  const versions = Array.from({ length: dice.whole(1, 4) }, (_, index) => addVersion(drawWorkflow(dice, `w${index}`)));
  for (let number = dice.whole(2, 14); number > 0; number--) {
    const wish = {
      name: `wish-${number}`,
      version: dice.pick(versions),
      key: dice.chance(0.7) ? `key-${number}` : undefined,
      stopAfterMs: dice.chance(0.25) ? dice.between(0, 6000) : undefined,
      tries: 0,
      acknowledged: undefined,
      givenUp: false,
      stopped: false,
    };
    timeline.after(dice.between(400, (faultMs * 2) / 3), () => client.wish(wish));
  }
}
