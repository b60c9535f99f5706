import { decide, runContext } from '@keelson/core';
import type { InstanceChanges, QueuedTask, RunContext } from '@keelson/core';
import type { InstanceFacts, LoadedInstance, Placement, StepMind } from '@keelson/store';
import type { MasterContext } from './context.ts';
import type { KnownVersion, Plans } from './plans.ts';
import type { SlotOffers } from './sessions.ts';
import { newNonce } from './token.ts';

/** Tasks that one transaction takes out of line, per kind of worker. */
export const MOST_CLAIMED = 500;

export interface Mind extends StepMind {
  /** Incarnations whose slots were promised, one by one, and have to be kept or taken back when the step's outcome is known. */
  readonly promised: readonly string[];
  /** What the step was asked to claim. */
  readonly claiming: readonly SlotOffers[];
  /** The line's time before it was. */
  readonly claimedAsOf: number;
}

/** What this master brings to one step. Nobody is served before those who wait in line. */
export function createMind({
  plans,
  sessions,
  line,
  random,
}: Pick<MasterContext, 'plans' | 'sessions' | 'line' | 'random'>): Mind {
  const promised: string[] = [];
  const claiming: SlotOffers[] = [];

  const describe = ({ live }: LoadedInstance, tasks: readonly QueuedTask[]): Placement[] => {
    const known = mustKnow(plans, live.versionId);
    return tasks.map(({ task, attempt, losses, step }) => {
      const planned = known.plan.tasks.get(task);
      if (planned === undefined) throw new Error(`task ${task} is not in version ${live.versionId}`);
      const { workerGroup, priority } = planned.definition;
      return {
        task,
        attempt,
        losses,
        workerGroup,
        capability: known.capability(planned, step),
        priority: priority + live.priority,
      };
    });
  };

  return {
    knowsVersion: (versionId) => plans.get(versionId) !== undefined,
    taskNames: (versionId) => [...mustKnow(plans, versionId).plan.tasks.keys()],
    describe,
    newNonce: () => newNonce(random),
    decide: ({ live, facts, events, ...rows }) => {
      const known = mustKnow(plans, live.versionId);
      // Made only if a condition reads it: a zoned time is dear.
      const scope = {
        params: facts.params,
        get run() {
          return runOf(known, facts);
        },
      };
      return decide({ live, plan: known.plan, scope, ...rows }, events);
    },
    place: (instance: LoadedInstance, changes: InstanceChanges) =>
      describe(instance, changes.ready).map((placement) => {
        const offer = line.isEmpty(placement) ? sessions.offer(placement.workerGroup, placement.capability) : undefined;
        if (offer === undefined) return placement;
        promised.push(offer.incarnationId);
        return { ...placement, offer };
      }),
    claims: () => {
      if (line.isAllEmpty()) return [];
      for (const offers of sessions.offerAll(line, MOST_CLAIMED)) {
        claiming.push(offers);
        promised.push(...offers.slots);
      }
      return claiming;
    },
    promised,
    claiming,
    claimedAsOf: line.now(),
  };
}

function mustKnow(plans: Plans, versionId: string): KnownVersion {
  const known = plans.get(versionId);
  if (known === undefined) throw new Error(`version ${versionId} is not at hand`);
  return known;
}

/** `run`, as expressions see it. */
export function runOf(known: KnownVersion, facts: InstanceFacts): RunContext {
  const { project, workflow, plan } = known;
  return runContext({ id: facts.id, workflow, project, timeUtc: facts.runTime, zone: plan.definition.timezone });
}
