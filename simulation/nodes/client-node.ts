import type { BackfillDraft, WorkflowVersion } from '@keelson/store';
import type { Life } from '../clock/life.ts';
import { call } from '../network/call.ts';
import type { Act } from '../workload/operator.ts';
import type { World } from '../world/world.ts';
import type { StartCall } from './api.ts';
import type { Node } from './node.ts';

/** What a person or a program wants to have started, once. */
export interface Wish {
  readonly name: string;
  readonly version: WorkflowVersion;
  /** With one it may be repeated without fear. */
  readonly key: string | undefined;
  /** Stop it so long after it was started. */
  readonly stopAfterMs: number | undefined;
  tries: number;
  /** The id that an answer gave. */
  acknowledged: string | undefined;
  givenUp: boolean;
  stopped: boolean;
}

/** A client with a list of wishes, which it remembers over its own death. */
export interface ClientNode extends Node {
  readonly wishes: readonly Wish[];
  wish(wish: Wish): void;
  /** Asks for it some times, until there is an answer; a client that dies forgets it. */
  act(act: Act): void;
  /** Asks until it is answered. */
  backfill(draft: BackfillDraft): void;
  /** Nothing is left to ask for. */
  done(): boolean;
}

const CALL_TIMEOUT_MS = 5000;
const RETRY_MS = { least: 50, most: 1500 };

const MOST_TRIES = 6;

interface Caller {
  start(life: Life, wish: Wish): Promise<void>;
  act(life: Life, act: Act): Promise<void>;
  /** True once it was answered. */
  backfill(life: Life, draft: BackfillDraft): Promise<void>;
}

/** How a client asks for what it wishes, again and again. */
function openCaller(world: World): Caller {
  const ask = async <T>(life: Life, path: string, body: object, repeatable = true): Promise<T | undefined> => {
    const server = life.dice.pick(world.servers);
    const request = { path, bearer: '', body: JSON.stringify(body) };
    const called = await call(world.timeline, world.network, life, server, request, {
      timeoutMs: CALL_TIMEOUT_MS,
      repeatable,
    });
    return called.status === 200 ? (JSON.parse(called.body) as T) : undefined;
  };
  const rest = (life: Life): Promise<void> =>
    new Promise((resolve) => life.clock.after(life.dice.between(RETRY_MS.least, RETRY_MS.most), resolve));

  const start = async (life: Life, wish: Wish): Promise<void> => {
    const { id, workflowId, definition } = wish.version;
    const body: StartCall = {
      workflowId,
      versionId: id,
      taskCount: Object.keys(definition.tasks).length,
      wish: wish.name,
      key: wish.key,
    };
    while (wish.acknowledged === undefined && !wish.givenUp) {
      wish.tries++;
      const answer = await ask<{ kind: string; instanceId: string }>(life, 'api/start', body, wish.key !== undefined);
      if (answer !== undefined) {
        wish.acknowledged = answer.instanceId;
        world.trace.note(life.name, `${wish.name} is acknowledged as instance ${answer.instanceId}`);
        if (answer.kind === 'key-conflict')
          world.violated('key-conflict', `${wish.name} was told that its key has another body`, answer.instanceId);
      } else if (wish.key === undefined && life.dice.chance(0.5)) wish.givenUp = true;
      else await rest(life);
    }
    await stop(life, wish);
  };
  const stop = async (life: Life, wish: Wish): Promise<void> => {
    const { acknowledged: instanceId, stopAfterMs } = wish;
    if (instanceId === undefined || stopAfterMs === undefined || wish.stopped) return;
    await new Promise<void>((resolve) => life.clock.after(stopAfterMs, resolve));
    for (;;) {
      const operation = { type: 'stop' };
      const answer = await ask<{ kind: string }>(life, 'api/operate', { instanceId, operation });
      if (answer?.kind === 'unknown') world.violated('acknowledged-start', 'a stop found no such instance', instanceId);
      if (answer !== undefined) break;
      await rest(life);
    }
    wish.stopped = true;
    world.trace.note(life.name, `has asked for the end of instance ${instanceId}`);
  };
  const act = async (life: Life, wanted: Act): Promise<void> => {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const [path, body] = callOf(wanted);
      const answer = await ask<{ kind: string }>(life, path, body);
      if (answer !== undefined) {
        return world.trace.note(life.name, `asked ${path} ${JSON.stringify(body)}: ${JSON.stringify(answer)}`);
      }
      await rest(life);
    }
  };
  const backfill = async (life: Life, draft: BackfillDraft): Promise<void> => {
    while ((await ask<object>(life, 'api/backfill', draft)) === undefined) await rest(life);
    world.trace.note(life.name, 'has made a backfill');
  };
  return { start, act, backfill };
}

function callOf(act: Act): readonly [path: string, body: object] {
  switch (act.kind) {
    case 'begin':
      return ['api/begin', act.request];
    case 'steer':
      return ['api/steer', { backfillId: act.backfillId, operation: act.operation }];
    case 'operate':
      return ['api/operate', { instanceId: act.instanceId, operation: act.operation }];
  }
}

export function openClientNode(world: World, name: string): ClientNode {
  const wishes: Wish[] = [];
  const backfills = new Set<BackfillDraft>();
  let running: Life | undefined;

  const { start, act, backfill } = openCaller(world);
  const askBackfill = async (life: Life, draft: BackfillDraft): Promise<void> => {
    await backfill(life, draft);
    backfills.delete(draft);
  };
  const node: ClientNode = {
    name,
    wishes,
    boot: () => {
      const life = (running = world.beginLife(name));
      for (const wish of wishes) {
        if (wish.tries > 0 && wish.key === undefined && wish.acknowledged === undefined) wish.givenUp = true;
        void start(life, wish);
      }
      for (const draft of backfills) void askBackfill(life, draft);
    },
    life: () => running,
    crash: (why) => {
      world.trace.note(name, `CRASH ${why}`);
      running?.kill();
      running = undefined;
      world.gone(node);
    },
    leave: async () => undefined,
    wish: (wish) => {
      wishes.push(wish);
      if (running !== undefined) void start(running, wish);
    },
    act: (wanted) => void (running !== undefined && act(running, wanted)),
    backfill: (draft) => {
      backfills.add(draft);
      if (running !== undefined) void askBackfill(running, draft);
    },
    done: () =>
      backfills.size === 0 &&
      wishes.every(
        ({ acknowledged, givenUp, stopAfterMs, stopped }) =>
          givenUp || (acknowledged !== undefined && (stopAfterMs === undefined || stopped)),
      ),
  };
  return node;
}
