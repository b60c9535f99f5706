import { ApiError } from '@keelson/protocol';
import { sessionOf } from '../../packages/server/src/master/gateway/authenticate.ts';
import type { GatewayDependencies } from '../../packages/server/src/master/gateway/dependencies.ts';
import { checkJoinToken } from '../../packages/server/src/master/gateway/register.ts';
import {
  answerLeave,
  answerPollCall,
  answerRegister,
  answerRenew,
  answerReportCall,
} from '../../packages/server/src/master/gateway/talk.ts';
import { startMaster } from '../../packages/server/src/master/master.ts';
import type { Master } from '../../packages/server/src/master/master.ts';
import { openMemoryStore } from '../../packages/store/src/memory/open.ts';
import type { MemoryStore } from '../../packages/store/src/memory/open.ts';
import type { Life } from '../clock/life.ts';
import { hookFlights } from '../faults/flights.ts';
import { tracedLog } from '../network/silent-log.ts';
import type { Reply, Request } from '../network/network.ts';
import type { World } from '../world/world.ts';
import { answerApi } from './api.ts';
import type { Node } from './node.ts';

export interface ServerNode extends Node {
  /** How often the sweeper of any of its processes had to drive something again. */
  redrives(): number;
}

/** A server of the roles api and master, as one process; it is started again after its death. */
export function openServerNode(world: World, name: string): ServerNode {
  let running: { readonly life: Life; readonly master: Master; readonly store: MemoryStore } | undefined;
  let redrivesBefore = 0;

  const boot = (): void => {
    const life = world.beginLife(name);
    const { database, bus, keep, trace, network } = world;
    const hooks = hookFlights(world, life, () => node.crash('at a flight'));
    const store = openMemoryStore(database, { owner: life.name, clock: life.clock, bus, keep, hooks });
    const log = tracedLog(trace, life.name);
    const master = startMaster({ store, signals: store.signals, log, clock: life.clock, random: life.dice });
    running = { life, master, store };
    network.listeners.set(name, {
      life,
      answer: (request, closed) => answer(master.gateway, store, request, closed),
    });
  };

  const end = (): void => {
    if (running === undefined) return;
    redrivesBefore += redrivesOf(running.master);
    const { life, store } = running;
    running = undefined;
    life.kill();
    store.disconnect({ silent: true });
    world.gone(node);
  };

  const node: ServerNode = {
    name,
    boot,
    life: () => running?.life,
    crash: (why) => {
      if (running === undefined) return;
      world.trace.note(name, `CRASH ${why}`);
      end();
    },
    leave: async () => {
      const leaving = running;
      if (leaving === undefined) return;
      await leaving.master.stop();
      if (running === leaving) end();
    },
    redrives: () => redrivesBefore + (running === undefined ? 0 : redrivesOf(running.master)),
  };
  return node;
}

function redrivesOf({ metrics }: Master): number {
  return Object.values(metrics.sweeperRedrives).reduce((sum, count) => sum + count, 0);
}

async function answer(
  gateway: GatewayDependencies,
  store: MemoryStore,
  request: Request,
  closed: AbortSignal,
): Promise<Reply> {
  try {
    const value = request.path.startsWith('api/')
      ? await answerApi(store, request)
      : await answerWorker(gateway, request, closed);
    return { status: 200, body: value === undefined ? '' : JSON.stringify(value) };
  } catch (error) {
    if (error instanceof ApiError) return { status: error.status, body: JSON.stringify(error.problem) };
    return { status: 500, body: error instanceof Error ? error.message : String(error) };
  }
}

/** What routes.ts does for HTTP: first who calls, then what. */
async function answerWorker(
  gateway: GatewayDependencies,
  { path, bearer, body }: Request,
  closed: AbortSignal,
): Promise<unknown> {
  const { context } = gateway;
  if (path === 'register') {
    await checkJoinToken(context, bearer);
    return answerRegister(gateway, JSON.parse(body));
  }
  const session = await sessionOf(context, bearer);
  switch (path) {
    case 'poll':
      return answerPollCall(gateway, session, JSON.parse(body), closed);
    case 'report':
      return answerReportCall(gateway, session, JSON.parse(body));
    case 'renew':
      return answerRenew(gateway, session, JSON.parse(body));
    case 'leave':
      return answerLeave(gateway, session);
    default:
      throw new ApiError('not-found', `there is no ${path}`);
  }
}
