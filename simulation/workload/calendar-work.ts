import type { ConcurrencyPolicy, TriggerDefinition } from '@keelson/core';
import { taskOf, workflowOf } from '@keelson/core/testing';
import type { BackfillDraft, DraftRun } from '@keelson/store';
import type { Dice } from '../clock/random.ts';
import type { ClientNode } from '../nodes/client-node.ts';
import type { World } from '../world/world.ts';
import { PROCESSOR } from './workflows.ts';
import type { Registered } from './registry.ts';
import { register } from './registry.ts';

const POLICIES: readonly ConcurrencyPolicy[] = ['parallel', 'serial-wait', 'serial-discard', 'serial-priority'];
const DAY_MS = 86_400_000;
const isoSecond = (ms: number): string => new Date(Math.ceil(ms / 1000) * 1000).toISOString().slice(0, 19).concat('Z');

/** Draws schedules, limits and backfills: small workflows, of which many instances come. */
export function scheduleCalendarWork(world: World, client: ClientNode, dice: Dice, faultMs: number): void {
  const fromMs = world.database.clock.now();
  const untilMs = fromMs + (faultMs * 2) / 3;
  const all: Registered[] = [];
  if (dice.chance(0.75))
    for (let number = dice.whole(1, 3); number > 0; number--) {
      const version = world.addVersion(drawSmall(dice, `s${number}`));
      const triggers = Array.from({ length: dice.whole(1, 2) }, (_, index) =>
        drawTrigger(dice, `t${index}`, fromMs, untilMs),
      );
      all.push({ version, triggers, ...drawLimit(dice, 0.6) });
    }
  if (dice.chance(0.4)) {
    const version = world.addVersion(drawSmall(dice, 'b1'));
    const follower = dice.chance(0.4) ? world.addVersion(drawSmall(dice, 'b2')) : undefined;
    all.push({ version, triggers: [], ...drawLimit(dice, 0.3) });
    const draft = drawBackfill(dice, [version, ...(follower === undefined ? [] : [follower])]);
    world.timeline.after(dice.between(400, faultMs / 2), () => client.backfill(draft));
  }
  if (all.length > 0) void register(world, all);
}

function drawLimit(dice: Dice, share: number): Pick<Registered, 'limit'> {
  if (!dice.chance(share)) return {};
  return { limit: { policy: dice.pick(POLICIES), slots: dice.chance(0.6) ? 1 : dice.whole(2, 3) } };
}

function drawSmall(dice: Dice, name: string) {
  const size = dice.whole(1, 3);
  const tasks = Array.from({ length: size }, (_, number) =>
    taskOf(`t${number}`, number > 0 && dice.chance(0.7) ? [`t${number - 1}`] : [], {
      ...(dice.chance(0.4) ? { uses: 'processor', with: { processor: PROCESSOR } } : {}),
      delayMs: dice.chance(0.85) ? 0 : Math.round(dice.between(100, 2000)),
      retry: { max: dice.whole(0, 1), delayMs: 200, backoff: 'fixed', maxDelayMs: 1000 },
    }),
  );
  return workflowOf(tasks, { name });
}

/** Few fires each: what comes in a minute is what a day brings elsewhere. */
function drawTrigger(dice: Dice, id: string, fromMs: number, untilMs: number): TriggerDefinition {
  const common = {
    id,
    timezone: 'UTC',
    params: {},
    misfire: dice.pick(['fire-once', 'fire-all', 'skip'] as const),
    end: isoSecond(untilMs),
    misfireThresholdMs: Math.round(dice.between(500, 5000)),
    ...(dice.chance(0.2) ? { jitterMs: Math.round(dice.between(100, 1500)) } : {}),
  };
  switch (dice.whole(0, 3)) {
    case 0:
      return { ...common, cron: `0/${dice.pick([3, 5, 10, 15])} * * * * ?` };
    case 1:
      return { ...common, fixedDelayMs: Math.round(dice.between(200, 4000)) };
    case 2:
      return { ...common, at: isoSecond(dice.between(fromMs + 2000, untilMs - 1000)) };
    default:
      return { ...common, fixedRateMs: Math.round(dice.between(1500, 12_000)) };
  }
}

function drawBackfill(dice: Dice, versions: readonly ReturnType<World['addVersion']>[]): BackfillDraft {
  const members = versions.map(({ id, workflowId, version, project, name, definition }, place) => ({
    workflowId,
    versionId: id,
    version,
    taskCount: Object.keys(definition.tasks).length,
    project,
    workflow: name,
    projectParams: {},
    needs: place === 0 ? [] : [0],
  }));
  const first = Date.parse('2025-03-01T00:00:00Z');
  const runs = Array.from({ length: dice.whole(2, 6) }, (_, day) =>
    members.map(({ workflowId, needs }): DraftRun => {
      const runTime = new Date(first + day * DAY_MS).toISOString();
      return { workflowId, runTime, state: needs.length === 0 ? 'pending' : 'waiting' };
    }),
  ).flat();
  return {
    workflowId: members[0]?.workflowId ?? '',
    members,
    parallel: dice.whole(1, 3),
    priority: -10,
    onFailure: dice.chance(0.3) ? 'stop' : 'continue',
    again: true,
    params: {},
    request: {},
    createdBy: 'client',
    runs,
    idempotency: { key: 'backfill', bodyHash: 'backfill' },
  };
}
