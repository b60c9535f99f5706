import { ConnectionLost } from '@keelson/store';
import type { FlightHooks, FlightInfo } from '../../packages/store/src/memory/session.ts';
import type { Life } from '../clock/life.ts';
import { DATABASE } from '../world/world.ts';
import type { World } from '../world/world.ts';

/** Longer than a statement may take: postgres/session.ts gives a connection up after this. */
const QUERY_TIMEOUT_MS = 20_000;

/** What PostgreSQL says to a statement that it refuses for reasons of its own. */
const REFUSALS: readonly (readonly [code: string, message: string])[] = [
  ['40P01', 'deadlock detected'],
  ['55P03', 'canceling statement due to lock timeout'],
  ['40001', 'could not serialize access'],
  ['57014', 'canceling statement due to statement timeout'],
  ['57P01', 'terminating connection due to administrator command'],
  ['53300', 'too many clients already'],
];

/** Most flights are idle looks; those that decide something are where faults tell. */
function weightOf({ kind, names }: FlightInfo): number {
  if (names.includes('start')) return 5;
  return kind === 'commit' ? 2 : 1;
}

/** The way of a process's flights to the database and back: how long they take, and what becomes of them. */
export function hookFlights(world: World, life: Life, crash: () => void): FlightHooks {
  const { timeline, network, trace } = world;
  const { dice, node } = life;
  const never = (): Promise<never> => new Promise(() => undefined);
  const lose = (flight: FlightInfo, when: string): never => {
    trace.note(life.name, `loses its connection ${when} ${flight.names.join(',')} (${flight.kind})`);
    throw new ConnectionLost(false, undefined);
  };
  const crashed = (flight: FlightInfo, when: string): Promise<never> => {
    trace.note(life.name, `dies ${when} ${flight.names.join(',')} (${flight.kind})`);
    crash();
    return never();
  };
  const travel = async (from: string, to: string, flight: FlightInfo): Promise<void> => {
    await timeline.sleep(network.latency() / 2);
    if (!network.isCut(from, to)) return;
    const late = Symbol('late');
    const first = await Promise.race([network.whole(from, to), timeline.sleep(QUERY_TIMEOUT_MS).then(() => late)]);
    if (first === late) lose(flight, 'after a long cut at');
  };
  const refuseIfDown = (flight: FlightInfo): void => {
    if (timeline.now() < world.databaseState.downUntil) lose(flight, 'because the database is down at');
  };
  return {
    beforeExecute: async (flight) => {
      if (!life.alive) return never();
      await travel(node, DATABASE, flight);
      if (!life.alive) return never();
      refuseIfDown(flight);
      const { climate } = world;
      const weight = weightOf(flight);
      if (dice.chance(climate.crashAtFlight * weight)) return crashed(flight, 'before');
      if (dice.chance(climate.lostBefore * weight)) lose(flight, 'before');
      if (flight.kind !== 'rollback' && dice.chance(climate.refused)) {
        const [code, message] = dice.pick(REFUSALS);
        trace.note(life.name, `is refused ${flight.names.join(',')}: ${message}`);
        throw Object.assign(new Error(message), { code });
      }
      trace.note(life.name, `${flight.kind} ${flight.names.join(',')}`);
    },
    beforeReply: async (flight) => {
      const { climate } = world;
      if (!life.alive) return never();
      const weight = weightOf(flight);
      if (dice.chance(climate.crashAtFlight * weight)) return crashed(flight, 'after');
      if (dice.chance(climate.lostAfter * weight)) lose(flight, 'after');
      await travel(DATABASE, node, flight);
      // A process that is paused reads it when it goes on; one that is dead never does.
      await new Promise<void>((resolve) => life.deliver(resolve));
    },
  };
}
