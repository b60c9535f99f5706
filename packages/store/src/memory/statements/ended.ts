import type { FollowupKind } from '../../followups.ts';
import type { Execution, Steps } from '../execution.ts';
import type { LiveRow } from '../rows.ts';
import { keyOf } from '../schema.ts';
import type { Tables } from '../schema.ts';
import { followup } from './emulation.ts';

/** What postgres/ended.ts does for live rows that were deleted. Answers the kinds of the follow-ups, each once. */
export function* endedFollowups(it: Execution, tables: Tables, gone: readonly LiveRow[]): Steps<FollowupKind[]> {
  for (const { workflow_id, id, limited } of gone) {
    const slot = limited ? it.byKey(tables.slot, keyOf(workflow_id, id)) : undefined;
    if (slot !== undefined) yield* it.remove(slot);
  }
  const kinds = new Set<FollowupKind>();
  for (const { id, workflow_id, limited, schedule_id, backfill_id } of gone) {
    const told: readonly (readonly [FollowupKind, string | null])[] = [
      ['admission', limited ? workflow_id : null],
      ['schedule', schedule_id],
      ['backfill', backfill_id],
    ];
    for (const [kind, subject] of told) {
      if (subject === null) continue;
      yield* followup(it, tables, kind, subject, id);
      kinds.add(kind);
    }
  }
  return [...kinds].toSorted();
}
