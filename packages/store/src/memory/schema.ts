import { backfillTables } from './backfill-tables.ts';
import type { BackfillTables } from './backfill-tables.ts';
import type {
  ActiveRow,
  AlertRow,
  BroadcastRow,
  CalendarRow,
  CommandErrorRow,
  CommandRow,
  ConcurrencyRow,
  CounterRow,
  DelayedRow,
  EarlierRow,
  EndRow,
  FinishedRow,
  FinishedSubtaskRow,
  FireRow,
  FollowupRow,
  GenerationRow,
  GroupRow,
  HeldRow,
  HistoryRow,
  IncarnationRow,
  InstanceRow,
  LiveRow,
  ReadyRow,
  ScheduleEventRow,
  ScheduleRow,
  SlotRow,
  StartKeyRow,
} from './rows.ts';
import { newTable } from './table.ts';
import type { Table, TableSpec } from './table.ts';

/** The tables of the migrations that masters write and read. */
export interface Tables extends BackfillTables {
  readonly workflow_instance: Table<InstanceRow>;
  readonly live_instance: Table<LiveRow>;
  readonly instance_end: Table<EndRow>;
  readonly instance_generation: Table<GenerationRow>;
  readonly start_key: Table<StartKeyRow>;
  readonly concurrency: Table<ConcurrencyRow>;
  readonly slot: Table<SlotRow>;
  readonly followup: Table<FollowupRow>;
  readonly command: Table<CommandRow>;
  readonly command_error: Table<CommandErrorRow>;
  readonly need_counter: Table<CounterRow>;
  readonly delayed: Table<DelayedRow>;
  readonly ready: Table<ReadyRow>;
  readonly held: Table<HeldRow>;
  readonly active: Table<ActiveRow>;
  readonly finished_task: Table<FinishedRow>;
  readonly earlier_attempt: Table<EarlierRow>;
  readonly broadcast: Table<BroadcastRow>;
  readonly finished_subtask: Table<FinishedSubtaskRow>;
  readonly history: Table<HistoryRow>;
  readonly alert: Table<AlertRow>;
  readonly worker_group: Table<GroupRow>;
  readonly worker_incarnation: Table<IncarnationRow>;
  readonly schedule: Table<ScheduleRow>;
  readonly fire: Table<FireRow>;
  readonly schedule_event: Table<ScheduleEventRow>;
  readonly calendar: Table<CalendarRow>;
}

/** The text of a key of several columns. */
export const keyOf = (...parts: readonly (string | number)[]): string => parts.join('/');

type Rules<Row> = Pick<TableSpec<Row>, 'checks' | 'stays'> & { readonly more?: TableSpec<Row>['uniques'] };

function table<Row>(
  name: string,
  primaryKey: (row: Row) => string,
  { more = [], ...rules }: Rules<Row> = { checks: [] },
  appendOnly = false,
): Table<Row> {
  return newTable({ ...rules, name, uniques: [{ name: `${name}_pkey`, of: primaryKey }, ...more], appendOnly });
}

/** A check as the migrations write it at a column, with the name that PostgreSQL gives it. */
function among<Row>(name: string, of: (row: Row) => string | null, values: readonly string[]): Check<Row> {
  return {
    name,
    holds: (row) => {
      const value = of(row);
      return value === null || values.includes(value);
    },
  };
}

type Check<Row> = TableSpec<Row>['checks'][number];

const byTask = (row: { readonly instance_id: string; readonly task: string }): string =>
  keyOf(row.instance_id, row.task);
const byGeneration = (row: {
  readonly instance_id: string;
  readonly task: string;
  readonly generation: number;
}): string => keyOf(row.instance_id, row.task, row.generation);

export function newTables(): Tables {
  return {
    ...instanceTables(),
    ...limitTables(),
    ...lineTables(),
    active: activeTable(),
    ...broadcastTables(),
    ...endTables(),
    ...scheduleTables(),
    ...backfillTables(),
    worker_group: table('worker_group', ({ name }) => name),
    worker_incarnation: table<IncarnationRow>('worker_incarnation', ({ id }) => id, {
      checks: [
        among('worker_incarnation_state_check', ({ state }) => state, ['live', 'draining', 'dead']),
        { name: 'worker_incarnation_slots_check', holds: ({ slots }) => slots >= 1 },
      ],
      more: [{ name: 'worker_incarnation_live_name', of: (row) => (row.state === 'live' ? row.name : undefined) }],
    }),
  };
}

const GENERAL_MODES: readonly string[] = ['rerun', 'recover'];
const TASK_MODES: readonly string[] = ['from', 'only', 'force-success'];

function instanceTables() {
  const states = ['queued', 'running', 'pausing', 'paused', 'stopping'];
  const kinds = 'start stop withdrawn settle attempt-ended fan-out pause resume begin skip-task set-priority discard';
  return {
    workflow_instance: table<InstanceRow>('workflow_instance', ({ id }) => id, undefined, true),
    live_instance: table<LiveRow>('live_instance', ({ id }) => id, {
      checks: [
        among('live_instance_state_check', ({ state }) => state, states),
        { name: 'live_instance_generation_check', holds: ({ generation }) => generation >= 1 },
        { name: 'live_instance_unfinished_check', holds: ({ unfinished }) => unfinished >= 0 },
        { name: 'live_instance_failed_check', holds: ({ failed }) => failed >= 0 },
      ],
    }),
    instance_end: table<EndRow>(
      'instance_end',
      (row) => keyOf(row.instance_id, row.generation),
      { checks: [among('instance_end_state_check', ({ state }) => state, ['stopped', 'failed', 'succeeded'])] },
      true,
    ),
    instance_generation: table<GenerationRow>(
      'instance_generation',
      (row) => keyOf(row.instance_id, row.generation),
      {
        checks: [
          among('instance_generation_mode_check', ({ mode }) => mode, [...GENERAL_MODES, ...TASK_MODES]),
          { name: 'instance_generation_generation_check', holds: ({ generation }) => generation >= 2 },
          {
            name: 'instance_generation_check',
            holds: ({ mode, task }) => (task !== null) === TASK_MODES.includes(mode),
          },
        ],
      },
      true,
    ),
    start_key: table<StartKeyRow>('start_key', (row) => keyOf(row.workflow_id, row.key)),
    command: table<CommandRow>('command', ({ id }) => id, {
      checks: [among('command_kind_check', ({ kind }) => kind, kinds.split(' '))],
    }),
    command_error: table<CommandErrorRow>('command_error', ({ id }) => id, {
      checks: [],
      more: [{ name: 'command_error_command_id_key', of: (row) => row.command_id }],
    }),
  };
}

function limitTables() {
  const policies = ['parallel', 'serial-wait', 'serial-discard', 'serial-priority'];
  return {
    concurrency: table<ConcurrencyRow>('concurrency', (row) => row.workflow_id, {
      checks: [
        among('concurrency_policy_check', ({ policy }) => policy, policies),
        { name: 'concurrency_slots_check', holds: ({ slots }) => slots === null || slots >= 1 },
        { name: 'concurrency_check', holds: ({ slots, policy }) => slots !== null || policy === 'parallel' },
      ],
    }),
    slot: table<SlotRow>('slot', (row) => keyOf(row.workflow_id, row.instance_id)),
    followup: table<FollowupRow>('followup', ({ id }) => id, {
      checks: [among('followup_kind_check', ({ kind }) => kind, ['admission', 'schedule', 'backfill'])],
    }),
  };
}

/** What is to fire knows when, or what it waits for; what is not to fire is not in the heap. */
function hasItsPlace({ deleted_at, enabled, exhausted, paused_at, next_at, awaiting }: ScheduleRow): boolean {
  const still = deleted_at !== null || !enabled || exhausted || paused_at !== null;
  return still ? next_at === null : next_at !== null || awaiting !== null;
}

function scheduleTables() {
  const kinds = ['created', 'changed', 'removed', 'paused', 'resumed', 'calendar-changed', 'failing'];
  return {
    schedule: table<ScheduleRow>('schedule', ({ id }) => id, {
      checks: [
        { name: 'schedule_place', holds: hasItsPlace },
        { name: 'schedule_check', holds: (row) => (row.paused_at === null) === (row.paused_by === null) },
        { name: 'schedule_check1', holds: (row) => (row.next_due === null) === (row.next_at === null) },
        { name: 'schedule_check2', holds: (row) => row.awaiting === null || row.next_at === null },
      ],
      more: [
        {
          name: 'schedule_by_trigger',
          of: (row) => (row.deleted_at === null ? keyOf(row.workflow_id, row.trigger_id) : undefined),
        },
      ],
    }),
    fire: table<FireRow>('fire', (row) => keyOf(row.schedule_id, row.due_at), {
      checks: [
        among('fire_outcome_check', ({ outcome }) => outcome, ['fired', 'misfired', 'skipped', 'failed']),
        { name: 'fire_check', holds: (row) => (row.outcome === 'fired') === (row.instance_id !== null) },
        { name: 'fire_check1', holds: (row) => row.outcome === 'fired' || row.reason !== null },
      ],
    }),
    schedule_event: table<ScheduleEventRow>('schedule_event', ({ id }) => id, {
      checks: [among('schedule_event_kind_check', ({ kind }) => kind, kinds)],
    }),
    calendar: table<CalendarRow>('calendar', (row) => keyOf(row.project_id, row.name)),
  };
}

function lineTables() {
  return {
    need_counter: table<CounterRow>('need_counter', byTask, {
      checks: [{ name: 'need_counter_met_check', holds: ({ met }) => met >= 0 }],
    }),
    delayed: table<DelayedRow>('delayed', byTask, {
      checks: [
        among('delayed_cause_check', ({ cause }) => cause, ['delay', 'retry']),
        { name: 'delayed_attempt_check', holds: ({ attempt }) => attempt >= 1 },
      ],
    }),
    ready: table<ReadyRow>('ready', byTask, {
      checks: [{ name: 'ready_attempt_check', holds: ({ attempt }) => attempt >= 1 }],
    }),
    held: table<HeldRow>('held', byTask, {
      checks: [
        among('held_cause_check', ({ cause }) => cause, ['delay', 'retry']),
        { name: 'held_attempt_check', holds: ({ attempt }) => attempt >= 1 },
        { name: 'held_delay_left_ms_check', holds: ({ delay_left_ms }) => delay_left_ms >= 0 },
      ],
    }),
  };
}

function activeTable() {
  return table<ActiveRow>('active', ({ id }) => id, {
    checks: [
      {
        name: 'active_state_check',
        holds: ({ state, subtask }) =>
          ['bound', 'dispatched', 'running'].includes(state) && (state !== 'bound' || subtask !== '0'),
      },
      {
        name: 'active_subtask_check',
        holds: ({ subtask, subtask_index, incarnation_id }) =>
          ['0', incarnation_id].includes(subtask) && (subtask === '0') === (subtask_index === null),
      },
      among('active_timeout_action_check', (row) => row.timeout_action, ['fail', 'warn']),
      among('active_kill_reason_check', (row) => row.kill_reason, ['stop', 'timeout']),
      { name: 'active_attempt_check', holds: ({ attempt }) => attempt >= 1 },
    ],
    more: [{ name: 'active_instance_id_task_subtask_key', of: (row) => keyOf(byTask(row), row.subtask) }],
    stays: (row) => (row.subtask === '0' ? '' : keyOf(row.subtask, row.incarnation_id)),
  });
}

function broadcastTables() {
  const ends = ['succeeded', 'failed', 'lost', 'stopped', 'skipped'];
  return {
    broadcast: table<BroadcastRow>('broadcast', byTask, {
      checks: [
        among('broadcast_phase_check', ({ phase }) => phase, ['before', 'fan', 'after']),
        { name: 'broadcast_waiting_check', holds: ({ waiting }) => waiting >= 0 },
        { name: 'broadcast_running_check', holds: ({ running }) => running >= 0 },
        {
          name: 'broadcast_check',
          holds: ({ total, waiting, running, succeeded, failed, lost, stopped, skipped }) =>
            waiting + running + succeeded + failed + lost + stopped + skipped === total,
        },
      ],
    }),
    finished_subtask: table<FinishedSubtaskRow>(
      'finished_subtask',
      (row) => keyOf(byGeneration(row), row.incarnation_id),
      {
        checks: [
          among('finished_subtask_state_check', ({ state }) => state, ends),
          { name: 'finished_subtask_attempt_check', holds: ({ attempt }) => attempt >= 1 },
        ],
      },
      true,
    ),
  };
}

function endTables() {
  const ends = ['succeeded', 'failed', 'skipped', 'stopped', 'lost'];
  return {
    finished_task: table<FinishedRow>(
      'finished_task',
      byGeneration,
      {
        checks: [
          among('finished_task_state_check', ({ state }) => state, ends),
          { name: 'finished_task_attempt_check', holds: ({ attempt }) => attempt >= 0 },
          { name: 'finished_task_check', holds: (row) => (row.attempt === 0) === (row.attempt_id === null) },
        ],
      },
      true,
    ),
    earlier_attempt: table<EarlierRow>(
      'earlier_attempt',
      (row) => keyOf(row.instance_id, row.task, row.generation, row.subtask, row.attempt),
      {
        checks: [
          among('earlier_attempt_state_check', ({ state }) => state, ['succeeded', 'failed', 'stopped', 'lost']),
        ],
      },
      true,
    ),
    history: table<HistoryRow>('history', (row) => keyOf(row.instance_id, row.id), undefined, true),
    alert: table<AlertRow>('alert', ({ id }) => id),
  };
}
