import type { Plant } from './plant.ts';

const MEMORY = 'packages/store/src/memory/statements';

/** Bugs in schedules, limits, backfills and operations. Where SQL is patched, what stands for it in memory is patched in the same way. */
export const CALENDAR_PLANTS: readonly Plant[] = [
  {
    name: 'fire-without-its-row',
    breaks: 'a schedule makes an instance, and nothing is written that says so and forbids a second one',
    runsOn: 'simulation',
    patches: [
      {
        file: 'packages/store/src/postgres/schedules/fires-write.ts',
        find: `    insert into fire (schedule_id, due_at, outcome, reason, instance_id)
    select schedule_id, due_at, outcome, reason::jsonb, instance_id from planned order by schedule_id, due_at
    on conflict (schedule_id, due_at) do nothing returning outcome, instance_id`,
        replace: '    select outcome, instance_id from planned',
      },
      {
        file: `${MEMORY}/fires.ts`,
        find: "if ((yield* it.insert(fire, row, 'fire_pkey')) !== undefined) recorded.push(row);",
        replace: 'if (fire !== undefined) recorded.push(row);',
      },
    ],
  },
  {
    name: 'missed-times-forgotten',
    breaks: 'a schedule that is to make up for all times that it missed goes on from now',
    runsOn: 'simulation',
    patches: [
      {
        file: 'packages/core/src/time/misfire.ts',
        find: '    time = nextTime(due.trigger, time.dueMs, due.scheduleKey, due.context);',
        replace: '    time = nextTime(due.trigger, nowMs, due.scheduleKey, due.context);',
      },
    ],
  },
  {
    name: 'slot-kept-after-the-end',
    breaks: "an instance that ends keeps the slot that it had under its workflow's limit",
    runsOn: 'simulation',
    patches: [
      {
        file: 'packages/store/src/postgres/engine/ended.ts',
        find: 'g where g.limited and s.workflow_id',
        replace: 'g where false and s.workflow_id',
      },
      { file: `${MEMORY}/ended.ts`, find: 'if (slot !== undefined) yield* it.remove(slot);', replace: '' },
    ],
  },
  {
    name: 'admission-forgets-who-is-in',
    breaks: 'who lets instances in does not count those that are in already',
    runsOn: 'simulation',
    patches: [
      {
        file: 'packages/store/src/postgres/engine/admission.ts',
        find: 'const room = slots === null ? waiting.length : Math.max(0, slots - held);',
        replace: 'const room = slots === null || held >= 0 ? waiting.length : 0;',
      },
      {
        file: 'packages/store/src/postgres/engine/admission.ts',
        find: 'else least(greatest(c.slots - h.held, 0), $2) end as most',
        replace: 'else $2 end as most',
      },
      {
        file: `${MEMORY}/admission.ts`,
        find: 'const room = slots === null || policy ===',
        replace: 'const room = most > 0 || slots === null || policy ===',
      },
    ],
  },
  {
    name: 'resume-drops-what-was-held',
    breaks: 'what was taken out of the line by a pause does not come back when the instance goes on',
    runsOn: 'simulation',
    patches: [
      {
        file: 'packages/store/src/postgres/engine/step/write-held.ts',
        find: 'from gone where cause is null and not fan_out order by priority desc, instance_id, task',
        replace: 'from gone where false',
      },
      {
        file: `${MEMORY}/step-held.ts`,
        find: 'for (const row of inLine) yield* lineUp(it, tables, row);',
        replace: '',
      },
    ],
  },
  {
    name: 'backfill-takes-more-than-its-share',
    breaks: 'a backfill starts all it has at once, however many were asked for',
    runsOn: 'simulation',
    patches: [
      {
        file: 'packages/core/src/backfill/turn.ts',
        find: 'bench.counts.running >= view.parallel || starts.length',
        replace: 'starts.length',
      },
    ],
  },
];
