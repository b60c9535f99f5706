import type { Dice } from '../clock/random.ts';
import { DATABASE } from '../world/world.ts';
import type { World } from '../world/world.ts';

const DOWN_MS = { least: 20, most: 8000 };

/** Goes down at once, comes up again after a while. */
export function restartDatabase({ timeline, trace, database, databaseState }: World, dice: Dice): void {
  const ms = dice.between(DOWN_MS.least, DOWN_MS.most);
  trace.note(DATABASE, `goes down for ${ms.toFixed(0)} ms`);
  databaseState.downUntil = timeline.now() + ms;
  database.restart();
  timeline.after(ms, () => database.restart());
}

/** Its clock is another one from now on: far ahead, or a little back. */
export function jump({ trace, databaseState }: World, dice: Dice): void {
  const ms = dice.chance(0.5) ? dice.between(1500, 30_000) : -dice.between(10, 5000);
  trace.note(DATABASE, `its clock jumps by ${ms.toFixed(0)} ms`);
  databaseState.ahead += ms;
}
