/**
 * Who has to act when an instance was made or has ended: the limit of its workflow, its schedule, its backfill. A row of `followup`, written in
 * that transaction and deleted in the one that acts.
 */
export type FollowupKind = 'admission' | 'schedule' | 'backfill';

export const FOLLOWUP_KINDS: readonly FollowupKind[] = ['admission', 'schedule', 'backfill'];
