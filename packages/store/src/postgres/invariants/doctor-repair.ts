import type { HistoryEvent } from '@keelson/core';
import type { Repair } from '../../doctor.ts';
import { INVARIANTS } from './invariants.ts';
import { call } from '../connection/session.ts';
import type { Session, Statement } from '../connection/session.ts';

/** Locks: the live row, as a step does, so that nobody decides meanwhile; then the instance's own, for one that is not alive. */
const LOCK_LIVE = { name: 'repair-lock-live', text: 'select id from live_instance where id = $1 for no key update' };
const LOCK_INSTANCE = {
  name: 'repair-lock-instance',
  text: 'select id from workflow_instance where id = $1 for update',
};

/** An instance that is not there has no history either. */
const NOTE = {
  name: 'repair-note',
  text: `insert into history (instance_id, events) select id, $2::jsonb from workflow_instance where id = $1`,
};

const REPAIRS: ReadonlyMap<string, readonly Statement[]> = new Map(
  INVARIANTS.flatMap(({ name, remedy }) =>
    'statements' in remedy
      ? [[name, remedy.statements.map((text, index) => ({ name: `repair-${name}-${index}`, text }))] as const]
      : [],
  ),
);

/**
 * Mends what one rule has found of one instance: locks it, looks again, changes it and writes that down, in one transaction. Answers nothing
 * when there is nothing to mend any more.
 *
 * @param by who does it, for the history
 */
export async function repairInstance(
  session: Session,
  rule: string,
  instanceId: string,
  by: string,
): Promise<Repair[]> {
  const transaction = session.begin();
  try {
    await transaction.flight([call(LOCK_LIVE, instanceId), call(LOCK_INSTANCE, instanceId)]);
    const statements = REPAIRS.get(rule) ?? [];
    const rows = (await transaction.flight(statements.map((statement) => call(statement, instanceId)))).flat();
    if (rows.length === 0) {
      await transaction.rollback();
      return [];
    }
    const messages = rows.map((row): string => row.message);
    const repaired: HistoryEvent = { type: 'repaired', rule, by, message: messages.join('; ') };
    const events = [repaired, ...rows.flatMap((row): HistoryEvent[] => row.events ?? [])];
    await transaction.commit([call(NOTE, instanceId, JSON.stringify(events))]);
    return messages.map((message) => ({ rule, instanceId, message }));
  } catch (error) {
    await transaction.rollback();
    throw error;
  }
}
