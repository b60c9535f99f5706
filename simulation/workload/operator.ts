import type { BackfillOperation, GenerationMode, GenerationRequest, LiveOperation } from '@keelson/store';
import { committedRows } from '../../packages/store/src/memory/database.ts';
import type { Dice } from '../clock/random.ts';
import type { ClientNode } from '../nodes/client-node.ts';
import type { World } from '../world/world.ts';

/** What an operator does: leaves a command for an instance, begins its next generation, or steers a backfill. */
export type Act =
  | { readonly kind: 'operate'; readonly instanceId: string; readonly operation: LiveOperation }
  | { readonly kind: 'begin'; readonly request: GenerationRequest }
  | { readonly kind: 'steer'; readonly backfillId: string; readonly operation: BackfillOperation };

/** How often it is looked whether somebody has left an instance paused. */
const RESUME_EVERY_MS = 2000;

export interface Operator {
  /** Nobody presses a button any more, but for letting go on what is paused. */
  settle(): void;
}

/** Presses buttons at random moments, some of them several times or two at once. */
export function startOperator(world: World, client: ClientNode, dice: Dice, faultMs: number): Operator {
  const { timeline } = world;
  let settled = false;
  for (let number = dice.chance(0.7) ? dice.whole(1, 16) : 0; number > 0; number--)
    timeline.after(dice.between(800, faultMs), () => {
      if (settled) return;
      const act = drawAct(world, dice);
      if (act === undefined) return;
      client.act(act);
      const more = dice.between(0, 1);
      if (more < 0.2) client.act(act);
      else if (more < 0.4) client.act(drawAct(world, dice) ?? act);
    });
  const resumeAll = (): void => {
    for (const { id, state } of committedRows(world.database.tables.live_instance))
      if (state === 'paused' || state === 'pausing')
        client.act({ kind: 'operate', instanceId: id, operation: { type: 'resume' } });
    for (const { id, state } of committedRows(world.database.tables.backfill))
      if (state === 'paused') client.act({ kind: 'steer', backfillId: id, operation: { kind: 'resume' } });
    timeline.after(RESUME_EVERY_MS, resumeAll);
  };
  return {
    settle: () => {
      settled = true;
      resumeAll();
    },
  };
}

function drawAct(world: World, dice: Dice): Act | undefined {
  const { tables } = world.database;
  const [backfill] = committedRows(tables.backfill);
  if (backfill !== undefined && dice.chance(0.3))
    return { kind: 'steer', backfillId: backfill.id, operation: drawSteering(dice) };
  const instances = committedRows(tables.workflow_instance);
  if (instances.length === 0) return undefined;
  const { id: instanceId, version_id: versionId } = dice.pick(instances);
  const tasks = Object.keys(world.definitionOf(versionId)?.tasks ?? {});
  const task = dice.pick(tasks);
  const live = committedRows(tables.live_instance).some(({ id }) => id === instanceId);
  // Now and then what makes no sense: it is to be refused.
  if (live !== dice.chance(0.05)) return { kind: 'operate', instanceId, operation: drawOperation(dice, task) };
  const ends = committedRows(tables.instance_end).filter((row) => row.instance_id === instanceId);
  const after = Math.max(1, ...ends.map(({ generation }) => generation));
  const mode = dice.pick(['rerun', 'recover', 'from', 'only', 'force-success'] satisfies GenerationMode[]);
  if (mode === 'force-success' && !hasFailed(world, instanceId, after, task)) return undefined;
  const named = mode === 'rerun' || mode === 'recover' ? {} : { task };
  const request = { instanceId, after, mode, ...named, versionId, taskCount: tasks.length, params: {}, by: 'operator' };
  return { kind: 'begin', request };
}

function drawSteering(dice: Dice): BackfillOperation {
  if (dice.chance(0.15)) return { kind: 'cancel', stop: dice.chance(0.5) };
  return { kind: dice.chance(0.6) ? 'pause' : 'resume' };
}

/** What the API looks at before it asks. */
function hasFailed({ database }: World, instanceId: string, generation: number, task: string): boolean {
  return committedRows(database.tables.finished_task).some(
    (row) =>
      row.instance_id === instanceId &&
      row.generation === generation &&
      row.task === task &&
      ['failed', 'stopped', 'lost'].includes(row.state),
  );
}

function drawOperation(dice: Dice, task: string): LiveOperation {
  switch (dice.whole(0, 7)) {
    case 0:
    case 1:
    case 2:
      return { type: 'pause' };
    case 3:
    case 4:
      return { type: 'resume' };
    case 5:
      return { type: 'skip-task', task };
    case 6:
      return { type: 'set-priority', priority: dice.whole(-10, 10) };
    default:
      return { type: 'stop' };
  }
}
