import {
  compileCalendar,
  compileTrigger,
  nextTime,
  planFires,
  resolveParams,
  runContext,
  scheduleKeyOf,
} from '@keelson/core';
import type { Calendar, CompiledTrigger, FireContext, PlannedTime, Reason, TriggerDefinition } from '@keelson/core';
import type { CalendarSource, DueSchedule, FireDecision, FireMind, PlannedFire } from '@keelson/store';
import { LRUCache } from 'lru-cache';

/** Parsed once, and kept as long as they are in use: a trigger is some kilobytes. */
const MOST_TRIGGERS = 20_000;
const MOST_CALENDARS = 500;
/** A mind that can think about what is to come. */
export interface PreparedMind extends FireMind {
  /** Forgets what was thought about before. */
  forget(): void;
  /** Decides as if its time had just come; that counts if it is the same then, and it is not late. */
  prepare(schedule: DueSchedule): void;
}

interface Prepared {
  readonly schedule: DueSchedule;
  readonly decision: FireDecision;
}

/** What fires when: the pure part of a fire, with what it has parsed before. */
export function createFireMind(): PreparedMind {
  // A bound by size, each of size 1: one by `max` would take its whole room at once.
  const triggers = new LRUCache<string, CompiledTrigger>({ maxSize: MOST_TRIGGERS, sizeCalculation: () => 1 });
  const calendars = new LRUCache<string, Calendar>({ max: MOST_CALENDARS });
  const triggerOf = ({ trigger: text }: DueSchedule): CompiledTrigger => {
    const known = triggers.get(text);
    if (known !== undefined) return known;
    const compiled = compileTrigger(JSON.parse(text) as TriggerDefinition);
    triggers.set(text, compiled);
    return compiled;
  };
  const contextOf = ({ definition }: CompiledTrigger, source: CalendarSource): FireContext => {
    const found = new Map<string, Calendar>();
    for (const name of definition.calendars ?? []) {
      const content = source(name);
      if (content === undefined) continue;
      const compiled = calendars.get(content.revision) ?? compileCalendar(content.definition);
      calendars.set(content.revision, compiled);
      found.set(name, compiled);
    }
    return { calendars: found };
  };
  const prepared = new Map<string, Prepared>();
  return {
    forget: () => prepared.clear(),
    prepare: (schedule) => {
      const { dueMs } = schedule;
      try {
        const trigger = triggerOf(schedule);
        if (dueMs === undefined || !canPrepare(trigger)) return;
        const decision = decideFires(schedule, trigger, { calendars: new Map() }, dueMs, 1);
        prepared.set(schedule.id, { schedule, decision });
      } catch {
        // It is said when its time has come.
      }
    },
    calendarsOf: (schedule) => triggerOf(schedule).definition.calendars ?? [],
    decide: (schedule, source, nowMs, most) => {
      const trigger = triggerOf(schedule);
      const thought = prepared.get(schedule.id);
      if (thought !== undefined && prepared.delete(schedule.id) && stillHolds(thought, schedule, trigger, nowMs))
        return thought.decision;
      return decideFires(schedule, trigger, contextOf(trigger, source), nowMs, most);
    },
  };
}

/** Of others the decision depends on more than on what is at hand. */
const canPrepare = ({ definition, jitterMs }: CompiledTrigger): boolean =>
  definition.calendars === undefined && definition.fixedDelayMs === undefined && jitterMs === 0;

function stillHolds(
  { schedule: before, decision }: Prepared,
  now: DueSchedule,
  { thresholdMs }: CompiledTrigger,
  nowMs: number,
): boolean {
  const { dueMs = Infinity } = now;
  const same = before.dueMs === dueMs && before.trigger === now.trigger && before.versionId === now.versionId;
  const inTime = nowMs >= dueMs && nowMs - dueMs <= thresholdMs && (decision.next?.atMs ?? Infinity) > nowMs;
  return same && inTime && JSON.stringify(before.projectParams) === JSON.stringify(now.projectParams);
}

function decideFires(
  schedule: DueSchedule,
  trigger: CompiledTrigger,
  context: FireContext,
  nowMs: number,
  most: number,
): FireDecision {
  const { project, workflow, triggerId, dueMs, endedAtMs } = schedule;
  const scheduleKey = scheduleKeyOf(project, workflow, triggerId);
  if (dueMs === undefined) {
    const next = nextTime(trigger, endedAtMs ?? nowMs, scheduleKey, context);
    return { fires: [], ...(next && { next }), awaits: false };
  }
  const plan = planFires({ trigger, context, scheduleKey, dueMs }, nowMs, most);
  const fires = plan.fires.map((time) => firedWith(time, schedule, trigger));
  const isDelay = trigger.definition.fixedDelayMs !== undefined;
  // Should the instance not be there to be waited for, the delay counts from here.
  const next = plan.next ?? (isDelay ? nextTime(trigger, nowMs, scheduleKey, context) : undefined);
  return { fires, ...(next && { next }), awaits: isDelay && fires.at(-1)?.outcome === 'fired' };
}

function firedWith(time: PlannedTime, schedule: DueSchedule, { definition }: CompiledTrigger): PlannedFire {
  const { dueMs, reason } = time;
  if (time.outcome !== 'fired') return { dueMs, outcome: time.outcome, reason: reason ?? MISSED };
  const { project, workflow, declaredParams: declared, projectParams } = schedule;
  const timeUtc = new Date(dueMs).toISOString();
  const run = runContext({ id: '', workflow, project, timeUtc, zone: definition.timezone });
  const { params, issues } = resolveParams({ declared, project: projectParams, start: definition.params, run });
  if (issues.length === 0) return { dueMs, outcome: 'fired', params, ...(reason && { reason }) };
  const message = issues.map((issue) => issue.message).join('; ');
  return { dueMs, outcome: 'failed', reason: { code: 'invalid-params', message } };
}

const MISSED: Reason = { code: 'missed', message: 'it could not fire when it was due' };
