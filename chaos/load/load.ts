import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../random.ts';
import type { Client } from './client.ts';
import type { Shape } from './workflows.ts';

/** One wish of the client to start a workflow, and all that it heard about it. */
export interface Wish {
  /** Travels as a parameter, so that the instance can be found whatever the client heard. */
  readonly mark: string;
  readonly workflow: string;
  readonly key: string | undefined;
  readonly askedAt: number;
  /** Requests sent for it; without a key there is only one. */
  requests: number;
  /** Ids of the answers with 2xx; one is right. */
  readonly acknowledged: Set<string>;
  acknowledgedAt: number | undefined;
  /** Of the last answer that was no 2xx. */
  refusal: string | undefined;
  readonly unknowns: string[];
}

export interface Load {
  readonly wishes: readonly Wish[];
  /** Ends the stream of wishes and waits for those under way. */
  stop(): Promise<void>;
}

/** A client with a key gives up after this long. */
const GIVE_UP_MS = 60_000;
/** Now and then an acknowledged request is sent again, as a client does that lost the answer. */
const REPEAT_SHARE = 0.15;
const KEYED_SHARE = 0.6;

/** Open loop: wishes come at their own pace, whatever becomes of those before. */
export function startLoad(client: Client, shapes: readonly Shape[], perSecond: number, random: Random): Load {
  const wishes: Wish[] = [];
  const underWay = new Set<Promise<void>>();
  const stopping = new AbortController();
  const bag = shapes.flatMap((shape) => Array.from({ length: shape.weight }, () => shape.name));
  const run = async (): Promise<void> => {
    let due = performance.now();
    for (let number = 1; ; number++) {
      due += (-Math.log(1 - random.next()) * 1000) / perSecond;
      try {
        await delay(Math.max(0, due - performance.now()), undefined, { signal: stopping.signal });
      } catch {
        return;
      }
      const wish = newWish(number, random.pick(bag), random.next() < KEYED_SHARE);
      wishes.push(wish);
      const carried = carryOut(client, wish, random.next() < REPEAT_SHARE).finally(() => underWay.delete(carried));
      underWay.add(carried);
    }
  };
  const running = run();
  return {
    wishes,
    stop: async () => {
      stopping.abort();
      await running;
      await Promise.all(underWay);
    },
  };
}

function newWish(number: number, workflow: string, keyed: boolean): Wish {
  const mark = `wish-${number}`;
  return {
    mark,
    workflow,
    key: keyed ? `key-${number}` : undefined,
    askedAt: Date.now(),
    requests: 0,
    acknowledged: new Set(),
    acknowledgedAt: undefined,
    refusal: undefined,
    unknowns: [],
  };
}

async function carryOut(client: Client, wish: Wish, repeat: boolean): Promise<void> {
  const until = performance.now() + GIVE_UP_MS;
  for (let pause = 100; performance.now() < until; pause = Math.min(pause * 2, 3000)) {
    await request(client, wish);
    if (wish.key === undefined || wish.refusal?.startsWith('4') === true) return;
    if (wish.acknowledged.size > 0) break;
    await delay(pause);
  }
  if (repeat && wish.acknowledged.size > 0) await request(client, wish);
}

async function request(client: Client, wish: Wish): Promise<void> {
  wish.requests++;
  const path = `projects/default/workflows/${wish.workflow}/instances`;
  const body = { params: { mark: wish.mark } };
  const answer = await client.once('POST', path, { body, ...(wish.key !== undefined && { key: wish.key }) });
  if (answer.kind === 'unknown') wish.unknowns.push(answer.why);
  else if (answer.status >= 300) wish.refusal = `${answer.status} ${JSON.stringify(answer.body)}`;
  else {
    wish.acknowledged.add((answer.body as { id: string }).id);
    wish.acknowledgedAt ??= Date.now();
  }
}
