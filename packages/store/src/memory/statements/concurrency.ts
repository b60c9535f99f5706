import type { ConcurrencyRow } from '../rows.ts';
import { byNumber, id, number, orNull, text, unnest } from '../values.ts';
import { followup } from './emulation.ts';
import type { Emulations } from './emulation.ts';

type Asked = Pick<ConcurrencyRow, 'workflow_id' | 'policy' | 'slots'>;

/** Limits: see postgres/engine/concurrency.ts. */
export const CONCURRENCY: Emulations = {
  *'set-limits'(it, tables, values) {
    const asked = unnest<Asked>(values, { workflow_id: id, policy: text, slots: orNull(number) });
    const changed: string[] = [];
    for (const one of asked.toSorted((a, b) => byNumber(a.workflow_id, b.workflow_id))) {
      const known = it.byKey(tables.concurrency, one.workflow_id);
      if (known === undefined && one.slots === null) continue;
      const now = it.clock.now();
      const fresh = { ...one, settled: false, changed_at: now };
      const differs = (row: ConcurrencyRow): boolean => row.policy !== one.policy || row.slots !== one.slots;
      const written =
        known === undefined
          ? yield* it.insert(tables.concurrency, fresh)
          : differs(known.row)
            ? yield* it.update(
                known,
                (row) => ({ ...fresh, settled: row.settled && row.slots !== null && one.slots !== null }),
                differs,
              )
            : undefined;
      if (written !== undefined) changed.push(one.workflow_id);
    }
    for (const workflow of changed) yield* followup(it, tables, 'admission', workflow, '0');
    return changed.map((workflow_id) => ({ workflow_id }));
  },
};
