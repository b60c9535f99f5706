import { decide, runContext } from '@keelson/core';
import type { InstanceChanges, QueuedTask, RunContext } from '@keelson/core';
import type { InstanceFacts, LoadedInstance, Placement, StepMind } from '@keelson/store';
import type { Line } from './line.ts';
import type { KnownVersion, Plans } from './plans.ts';
import type { Sessions } from './sessions.ts';

export interface Mind extends StepMind {
  /** Offers made since the last call, to be kept or taken back when the step's outcome is known. */
  offers(): readonly string[];
}

/** What this master brings to one step. Nobody is served before those who wait in line. */
export function createMind(plans: Plans, sessions: Sessions, line: Line): Mind {
  const offered: string[] = [];

  const describe = ({ live }: LoadedInstance, tasks: readonly QueuedTask[]): Placement[] => {
    const known = mustKnow(plans, live.versionId);
    return tasks.map(({ task, attempt, losses }) => {
      const planned = known.plan.tasks.get(task);
      if (planned === undefined) throw new Error(`task ${task} is not in version ${live.versionId}`);
      const { workerGroup, priority } = planned.definition;
      return {
        task,
        attempt,
        losses,
        workerGroup,
        capability: known.capability(planned),
        priority: priority + live.priority,
      };
    });
  };

  return {
    knowsVersion: (versionId) => plans.get(versionId) !== undefined,
    taskNames: (versionId) => [...mustKnow(plans, versionId).plan.tasks.keys()],
    describe,
    decide: ({ live, facts, events, tasks, activeAttempts }) => {
      const known = mustKnow(plans, live.versionId);
      // Made only if a condition reads it: a zoned time is dear.
      const scope = {
        params: facts.params,
        get run() {
          return runOf(known, facts);
        },
      };
      return decide(
        { live, plan: known.plan, scope, tasks, ...(activeAttempts === undefined ? {} : { activeAttempts }) },
        events,
      );
    },
    place: (instance: LoadedInstance, changes: InstanceChanges) =>
      describe(instance, changes.ready).map((placement) => {
        const offer = line.isEmpty(placement) ? sessions.offer(placement.workerGroup, placement.capability) : undefined;
        if (offer === undefined) return placement;
        offered.push(offer.incarnationId);
        return { ...placement, offer };
      }),
    offers: () => offered.splice(0),
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
