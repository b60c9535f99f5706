import type { Plant } from './plant.ts';

const STARTS = 'packages/store/src/postgres/engine/starts.ts';
const WORKERS = 'packages/store/src/postgres/workers/workers.ts';
const COMMANDS = 'packages/server/src/master/commands.ts';
const STEP = 'packages/store/src/postgres/engine/step/step.ts';
/** What stands for the SQL of WORKERS in the simulation. */
const MEMORY_WORKERS = 'packages/store/src/memory/statements/workers.ts';

/** The bugs that the scenarios F1 to F5 must report. */
export const SCENARIO_PLANTS: readonly Plant[] = [
  {
    name: 'first-error-fails-the-instance',
    breaks: 'F1: an error of the database while a command is applied throws the whole instance away',
    runsOn: 'simulation',
    patches: [
      { file: COMMANDS, find: 'const MOST_TRIES = 5;', replace: 'const MOST_TRIES = 1;' },
      {
        file: COMMANDS,
        find: "if (outcomeOf(error) !== 'application') throw error;\n    metrics.stepFailures++;",
        replace: 'metrics.stepFailures++;',
      },
      {
        file: COMMANDS,
        find: "if (outcomeOf(error) !== 'application') throw error;\n      context.log.warn(",
        replace: 'context.log.warn(',
      },
    ],
  },
  {
    name: 'command-deleted-before-the-apply',
    breaks: 'F1: the command is deleted in a transaction of its own, before the one that applies it',
    runsOn: 'simulation',
    patches: [
      {
        file: STEP,
        find: '    return await decideAndWrite(bench);',
        replace: `    if (bench.commandIds.length > 0) {
      const text = 'delete from command where id = any($1::bigint[])';
      await transaction.commit([{ statement: { name: 'delete-commands', text }, values: [bench.commandIds.splice(0)] }]);
      bench.transaction = session.begin();
    }
    return await decideAndWrite(bench);`,
      },
    ],
  },
  {
    name: 'start-answered-before-its-commit',
    breaks: 'F2: a start is acknowledged before it is stored',
    runsOn: 'simulation',
    patches: [
      {
        file: STARTS,
        find: '    const made = await again(',
        replace:
          "    for (const { id, resolve } of batch) resolve({ kind: 'created', instanceId: id });\n    const made = await again(",
      },
    ],
  },
  {
    name: 'unknown-commit-repeated-blindly',
    breaks: 'F2: a start whose commit has an unknown outcome is run again under another id',
    runsOn: 'simulation',
    patches: [
      {
        file: STARTS,
        find: 'await again(clock, () => insertStarts(runner, batch));',
        replace: 'await insertStarts(runner, batch);',
      },
      {
        file: STARTS,
        find: `      const id = await nextId();
      return new Promise((resolve, reject) => batcher.add({ id, request, resolve, reject }));`,
        replace: `      for (;;) {
        const id = await nextId();
        try {
          return await new Promise((resolve, reject) => batcher.add({ id, request, resolve, reject }));
        } catch (error) {
          if (outcomeOf(error) === 'application') throw error;
        }
      }`,
      },
    ],
  },
  {
    name: 'failover-set-first-and-handled-later',
    breaks: 'F3: a worker is marked dead in one transaction and its attempts are lost in another',
    runsOn: 'simulation',
    patches: [
      {
        file: WORKERS,
        find: `      const [rows = []] = await transaction.flight([call(EXPIRE, certainForMs, asOfMs)]);
      if (rows.length === 0) {
        await transaction.rollback();
        return [];
      }
      await transaction.commit([`,
        replace: `      const [rows = []] = await transaction.commit([call(EXPIRE, certainForMs, asOfMs)]);
      if (rows.length === 0) return [];
      await lifecycle.begin().commit([`,
      },
    ],
  },
  {
    name: 'lease-ended-early',
    breaks: 'F4: a worker counts as dead, and its tasks are handed to others, before its lease has ended',
    runsOn: 'simulation',
    patches: [
      {
        file: WORKERS,
        find: "where state <> 'dead' and lease_until < clock_timestamp()\n",
        replace: "where state <> 'dead' and lease_until < clock_timestamp() + lease_ms * interval '0.5 millisecond'\n",
      },
      // Nor does it wait until a lease has passed since the master started.
      { file: WORKERS, find: 'and lease_ms <= $1::float8', replace: 'and 0 <= $1::float8' },
      {
        file: WORKERS,
        find: 'where w.id = over.id and w.lease_until < clock_timestamp() returning',
        replace: 'where w.id = over.id returning',
      },
      {
        file: MEMORY_WORKERS,
        find: 'row.lease_until < it.clock.now() &&',
        replace: 'row.lease_until < it.clock.now() + row.lease_ms / 2 &&',
      },
      {
        file: MEMORY_WORKERS,
        find: 'row.lease_until < number(asOfMs) &&',
        replace: 'number(asOfMs) > 0 &&',
      },
      {
        file: WORKERS,
        find: 'and lease_until < to_timestamp($2::float8 / 1000)',
        replace: 'and $2::float8 > 0',
      },
      {
        file: MEMORY_WORKERS,
        find: 'const stillOver = (row: IncarnationRow): boolean => row.lease_until < it.clock.now();',
        replace: 'const stillOver = (): boolean => true;',
      },
    ],
  },
  {
    name: 'undecided-successors-handed-over',
    breaks: 'F4: a master that could not write its decision hands the successors over all the same',
    runsOn: 'postgres',
    patches: [
      {
        file: STEP,
        find: '  const rows = await bench.transaction.commit(calls);',
        replace: `  const rows = await bench.transaction.commit(calls).catch((error) => {
    if (error.name !== 'ConnectionLost' || bindAt === claimsAt) throw error;
    const number = () => String(9e15 + Math.floor(Math.random() * 1e6));
    const invented = decided.flatMap(({ id, generation, placements }) =>
      placements.flatMap(({ task, attempt, offer }) => offer === undefined ? [] : [{ id: number(), instance_id: id, generation, task,
        attempt, incarnation_id: offer.incarnationId, nonce: offer.nonce }]));
    return calls.map((_, index) => (index === bindAt ? invented : index >= claimsAt ? [{ id: null, live_slots: 0 }] : []));
  });`,
      },
    ],
  },
  {
    name: 'broadcast-address-reset',
    breaks: 'F5: the subtask of a dead worker loses its address and is given to another worker',
    runsOn: 'postgres',
    patches: [
      {
        file: WORKERS,
        find: "name: 'worker-lose-attempts',\n  text: `with held as (",
        replace: `name: 'worker-lose-attempts',
  text: \`with other as (
           select w.id from worker_incarnation w where w.state = 'live' and w.id <> all($1::bigint[])
              and not exists (select from active a where a.subtask = w.id) order by w.id limit 1
         ), moved as (
           delete from active using other
            where active.id = (select min(id) from active where subtask <> 0 and incarnation_id = any($1::bigint[])) returning active.*
         ), given as (
           insert into active (instance_id, task, generation, attempt, incarnation_id, nonce, state, ready_at, subtask, subtask_index)
           select m.instance_id, m.task, m.generation, m.attempt, o.id, m.nonce || 'reset', 'dispatched', m.ready_at, o.id, m.subtask_index
             from moved m cross join other o
         ), held as (`,
      },
      {
        file: WORKERS,
        find: 'from worker_incarnation w join active a on a.incarnation_id = w.id join held on held.id = a.instance_id\n          where w.id = any($1::bigint[])`',
        replace:
          'from worker_incarnation w join active a on a.incarnation_id = w.id join held on held.id = a.instance_id\n          where w.id = any($1::bigint[]) and a.id not in (select id from moved)`',
      },
    ],
  },
  {
    name: 'token-accepted-twice',
    breaks: 'F4: a worker forgets which tokens it has taken, and runs one that is sent again',
    runsOn: 'simulation',
    patches: [
      {
        file: 'packages/worker/src/runtime/tokens.ts',
        find: 'isDone: (token) => done.has(token),',
        replace: 'isDone: () => false,',
      },
      {
        file: 'packages/worker/src/runtime/tokens.ts',
        find: 'isHeld: (token) => held.has(token),',
        replace: 'isHeld: () => false,',
      },
    ],
  },
];
