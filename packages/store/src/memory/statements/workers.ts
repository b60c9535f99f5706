import type { Answer } from '../database.ts';
import type { IncarnationRow } from '../rows.ts';
import { byNumber, id, idList, number, orNull, text, textList } from '../values.ts';
import { command, inOrder } from './emulation.ts';
import type { Emulations } from './emulation.ts';

const ofId = (row: IncarnationRow): string => row.id;

const mayAsk = ({ state, revoked_at, lease_until }: IncarnationRow, now: number): boolean =>
  state !== 'dead' && revoked_at === null && lease_until > now;

/** Incarnations and their leases: see postgres/workers/workers.ts. */
export const WORKERS: Emulations = {
  *'worker-group'(it, { worker_group }, [name]) {
    yield* it.insert(worker_group, { name: text(name), lease_ms: 10_000 }, 'worker_group_pkey');
    return [];
  },

  *'worker-supersede'(it, { worker_incarnation }, [incarnation]) {
    const newer = it.byKey(worker_incarnation, id(incarnation))?.row;
    if (newer === undefined || !mayAsk(newer, it.clock.now())) return [];
    const namesake = (row: IncarnationRow): boolean =>
      row.name === newer.name && byNumber(row.id, newer.id) < 0 && row.state === 'live';
    for (const found of it.all(worker_incarnation, namesake))
      yield* it.update(found, (row) => ({ ...row, state: 'draining' }), namesake);
    return [];
  },

  *'worker-take-name'(it, { worker_incarnation }, [incarnation]) {
    const found = it.byKey(worker_incarnation, id(incarnation));
    const isAlive = (row: IncarnationRow): boolean => mayAsk(row, it.clock.now());
    if (found === undefined || !isAlive(found.row)) return [];
    const { name } = found.row;
    const others = it.all(
      worker_incarnation,
      (row) => row.name === name && row.state === 'live' && row.id !== found.row.id,
    );
    if ([...others].length > 0) return [];
    const row = yield* it.update(found, (one) => ({ ...one, state: 'live' }), isAlive);
    return row === undefined ? [] : [{ id: row.id }];
  },

  // Tokens are kept outside of the tables, and never revoked while somebody joins.
  'worker-join-token': (it, _tables, [token]) => (it.holdsToken(id(token)) ? [{ id: id(token) }] : []),

  *'worker-register'(it, tables, [name, groupName, slots, capabilities, hash, host, pid, version, protocol, token]) {
    const group = it.byKey(tables.worker_group, text(groupName))?.row;
    if (group === undefined) return [];
    const now = it.clock.now();
    const namesakes = it.all(tables.worker_incarnation, (one) => one.name === text(name) && one.state === 'live');
    const row: IncarnationRow = {
      id: it.next('worker_incarnation_id'),
      name: text(name),
      worker_group: group.name,
      slots: number(slots),
      capabilities: textList(capabilities),
      credential_hash: text(hash),
      host: text(host),
      pid: number(pid),
      version: text(version),
      protocol: number(protocol),
      token_id: orNull(id)(token),
      revoked_at: null,
      state: [...namesakes].length > 0 ? 'draining' : 'live',
      lease_ms: group.lease_ms,
      lease_until: now + group.lease_ms,
      registered_at: now,
      ended_at: null,
      end_reason: null,
    };
    yield* it.insert(tables.worker_incarnation, row);
    return [{ id: row.id, lease_ms: row.lease_ms }];
  },

  *'worker-renew'(it, { worker_incarnation }, [ids]) {
    const wanted = new Set(idList(ids));
    const alive = (row: IncarnationRow): boolean =>
      wanted.has(row.id) && row.state !== 'dead' && row.revoked_at === null && row.lease_until > it.clock.now();
    const renewed: Answer = [];
    for (const found of inOrder(it.all(worker_incarnation, alive), ofId)) {
      const extend = (row: IncarnationRow): IncarnationRow => ({ ...row, lease_until: it.clock.now() + row.lease_ms });
      const row = yield* it.update(found, extend, alive);
      if (row !== undefined) renewed.push({ id: row.id, lease_ms: row.lease_ms });
    }
    return renewed;
  },

  'worker-authenticate': (it, { worker_incarnation }, [incarnation, hash]) => {
    const row = it.byKey(worker_incarnation, id(incarnation))?.row;
    if (row === undefined || row.credential_hash !== hash) return [];
    if (row.state === 'dead' || row.revoked_at !== null || row.lease_until <= it.clock.now()) return [];
    const { name, worker_group, slots, capabilities, state, lease_ms } = row;
    return [{ id: row.id, name, worker_group, slots, capabilities, state, lease_ms }];
  },

  *'worker-drain'(it, { worker_incarnation }, [incarnation]) {
    const isLive = (row: IncarnationRow): boolean => row.state === 'live';
    const found = it.byKey(worker_incarnation, id(incarnation));
    if (found === undefined || !isLive(found.row)) return [];
    if ((yield* it.lock(found, 'update', 'wait', isLive)) === undefined) return [];
    yield* it.update(found, (row) => ({ ...row, state: 'draining' }));
    return [];
  },

  *'worker-expire'(it, { worker_incarnation }, [certainForMs, asOfMs]) {
    const isOver = (row: IncarnationRow): boolean =>
      row.state !== 'dead' &&
      row.lease_until < it.clock.now() &&
      row.lease_until < number(asOfMs) &&
      it.clock.now() > it.upSince() + row.lease_ms &&
      row.lease_ms <= number(certainForMs);
    const over = [];
    for (const found of inOrder(it.all(worker_incarnation, isOver), ofId))
      if ((yield* it.lock(found, 'update', 'skip', isOver)) !== undefined) over.push(found);
    const dead: Answer = [];
    for (const found of over) {
      const end = { state: 'dead', ended_at: it.clock.now(), end_reason: 'lease-expired' };
      const stillOver = (row: IncarnationRow): boolean => row.lease_until < it.clock.now();
      const row = yield* it.update(found, (one) => ({ ...one, ...end }), stillOver);
      if (row !== undefined) dead.push({ id: row.id, name: row.name, worker_group: row.worker_group });
    }
    return dead;
  },

  *'worker-leave'(it, { worker_incarnation }, [incarnation]) {
    const isAlive = (row: IncarnationRow): boolean => row.state !== 'dead';
    const found = it.byKey(worker_incarnation, id(incarnation));
    if (found === undefined || !isAlive(found.row)) return [];
    if ((yield* it.lock(found, 'update', 'wait', isAlive)) === undefined) return [];
    const end = { state: 'dead', ended_at: it.clock.now(), end_reason: 'left' };
    yield* it.update(found, (row) => ({ ...row, ...end }));
    return [];
  },

  *'worker-lose-attempts'(it, tables, [ids]) {
    const wanted = new Set(idList(ids));
    const attempts = inOrder(
      it.all(tables.active, (row) => wanted.has(row.incarnation_id)),
      (row) => row.id,
    );
    const held = new Set<string>();
    for (const instance of [...new Set(attempts.map(({ row }) => row.instance_id))].toSorted(byNumber)) {
      const found = it.byKey(tables.live_instance, instance);
      if (found !== undefined && (yield* it.lock(found, 'key share')) !== undefined) held.add(instance);
    }
    for (const { row } of attempts) {
      const worker = it.byKey(tables.worker_incarnation, row.incarnation_id)?.row;
      if (worker === undefined || !held.has(row.instance_id)) continue;
      const message = `worker ${worker.name}: ${worker.end_reason ?? ''}`;
      const reason = { code: 'worker-lost', message };
      yield* command(it, tables, row.instance_id, 'attempt-ended', { attemptId: row.id, end: 'lost', reason });
    }
    return [];
  },
};
