import { newTable } from './table.ts';
import type { Table, TableSpec } from './table.ts';

export interface BackfillCountsRow {
  readonly waiting: number;
  readonly pending: number;
  readonly running: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly stopped: number;
  readonly skipped: number;
}

export interface BackfillRow extends BackfillCountsRow {
  readonly id: string;
  readonly workflow_id: string;
  readonly state: string;
  readonly parallel: number;
  readonly priority: number;
  readonly on_failure: string;
  readonly again: boolean;
  readonly members: readonly { readonly versionId: string }[];
  readonly params: unknown;
  readonly request: unknown;
  readonly last_error: string | null;
  readonly key: string | null;
  readonly body_hash: string | null;
  readonly created_by: string;
  readonly created_at: number;
  readonly turned_at: number;
  readonly ended_at: number | null;
}

export interface BackfillRunRow {
  readonly backfill_id: string;
  readonly seq: number;
  readonly workflow_id: string;
  readonly run_time: number;
  readonly state: string;
  readonly instance_id: string | null;
  readonly reason: unknown;
}

export interface BackfillEventRow {
  readonly id: string;
  readonly backfill_id: string;
  readonly at: number;
  readonly kind: string;
  readonly by: string;
  readonly detail: unknown;
}

export interface BackfillTables {
  readonly backfill: Table<BackfillRow>;
  readonly backfill_run: Table<BackfillRunRow>;
  readonly backfill_event: Table<BackfillEventRow>;
}

type Check<Row> = TableSpec<Row>['checks'][number];

function among<Row>(name: string, of: (row: Row) => string, values: string): Check<Row> {
  return { name, holds: (row) => values.split(' ').includes(of(row)) };
}

const COUNTS = ['waiting', 'pending', 'running', 'succeeded', 'failed', 'stopped', 'skipped'] as const;

/** The tables of 0009_backfill.sql. */
export function backfillTables(): BackfillTables {
  return {
    backfill: newTable<BackfillRow>({
      name: 'backfill',
      appendOnly: false,
      uniques: [
        { name: 'backfill_pkey', of: ({ id }) => id },
        {
          name: 'backfill_by_key',
          of: ({ workflow_id, key }) => (key === null ? undefined : `${workflow_id}/${key}`),
        },
      ],
      checks: [
        among('backfill_state_check', ({ state }) => state, 'running paused cancelled done'),
        among('backfill_on_failure_check', ({ on_failure }) => on_failure, 'stop continue'),
        { name: 'backfill_parallel_check', holds: ({ parallel }) => parallel >= 1 && parallel <= 100 },
        ...COUNTS.map((name) => ({ name: `backfill_${name}_check`, holds: (row: BackfillRow) => row[name] >= 0 })),
        { name: 'backfill_check', holds: ({ key, body_hash }) => (key === null) === (body_hash === null) },
        {
          name: 'backfill_check1',
          holds: ({ state, waiting, pending, running }) => state !== 'done' || waiting + pending + running === 0,
        },
        {
          name: 'backfill_check2',
          holds: ({ state, waiting, pending }) => state !== 'cancelled' || waiting + pending === 0,
        },
      ],
    }),
    backfill_run: newTable<BackfillRunRow>({
      name: 'backfill_run',
      appendOnly: false,
      uniques: [
        { name: 'backfill_run_pkey', of: ({ backfill_id, seq }) => `${backfill_id}/${seq}` },
        { name: 'backfill_run_by_instance', of: ({ instance_id }) => instance_id ?? undefined },
      ],
      checks: [
        among(
          'backfill_run_state_check',
          ({ state }) => state,
          'waiting pending running succeeded failed stopped skipped',
        ),
        {
          name: 'backfill_run_check',
          holds: ({ state, instance_id }) => !['waiting', 'pending', 'skipped'].includes(state) || instance_id === null,
        },
        {
          name: 'backfill_run_check1',
          holds: ({ state, instance_id }) =>
            !['running', 'succeeded', 'stopped'].includes(state) || instance_id !== null,
        },
        { name: 'backfill_run_check2', holds: ({ state, reason }) => state !== 'skipped' || reason !== null },
      ],
    }),
    backfill_event: newTable<BackfillEventRow>({
      name: 'backfill_event',
      appendOnly: false,
      uniques: [{ name: 'backfill_event_pkey', of: ({ id }) => id }],
      checks: [
        among(
          'backfill_event_kind_check',
          ({ kind }) => kind,
          'created paused resumed cancelled instances-stopped halted ended',
        ),
      ],
    }),
  };
}
