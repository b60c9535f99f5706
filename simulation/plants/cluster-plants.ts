import type { Plant } from './plant.ts';

const MASTER = 'packages/server/src/master';
const STEP = 'packages/store/src/postgres/engine/step';
const MEMORY = 'packages/store/src/memory/statements';
const RUNTIME = 'packages/worker/src/runtime';

/** The bugs that the simulation must report. Where SQL is patched, what stands for it in memory is patched in the same way. */
export const CLUSTER_PLANTS: readonly Plant[] = [
  {
    name: 'instance-lock-forgotten',
    breaks: 'a decision reads its instance without locking it, so that two masters decide at once',
    runsOn: 'simulation',
    patches: [
      {
        file: `${STEP}/read.ts`,
        find: 'order by l.id for no key update skip locked`',
        replace: 'order by l.id`',
      },
      {
        file: `${STEP}/read.ts`,
        find: 'offset 0 for no key update skip locked) l',
        replace: 'offset 0) l',
      },
      {
        file: `${MEMORY}/step-read.ts`,
        find: "const held = yield* it.lock(found, 'no key update', 'skip');",
        replace: 'const held = found;',
      },
      {
        file: `${MEMORY}/step-read.ts`,
        find: "const held = found === undefined ? undefined : yield* it.lock(found, 'no key update', 'skip');",
        replace: 'const held = found;',
      },
    ],
  },
  {
    name: 'stale-master-goes-on',
    breaks: 'a master decides on what it once read of an instance instead of reading it again under the lock',
    runsOn: 'simulation',
    patches: [
      {
        file: `${STEP}/workbench.ts`,
        find: '    const live = liveFrom(row);',
        replace: `    const remembered = bench.facts as unknown as { lives?: Map<string, LiveInstance> };
    remembered.lives ??= new Map();
    const live = remembered.lives.get(row.id) ?? liveFrom(row);
    remembered.lives.set(live.id, live);`,
      },
    ],
  },
  {
    name: 'told-lease-is-longer',
    breaks: 'a task is handed to another worker before the lease that its holder counts on has ended',
    runsOn: 'simulation',
    patches: [
      {
        file: `${MASTER}/gateway/register.ts`,
        find: '    leaseMs,\n    renewEveryMs: Math.floor(leaseMs / RENEWALS_PER_LEASE),',
        replace: '    leaseMs: leaseMs * 2,\n    renewEveryMs: Math.floor(leaseMs / RENEWALS_PER_LEASE),',
      },
      {
        file: `${MASTER}/gateway/talk.ts`,
        find: 'return { leaseMs, kill',
        replace: 'return { leaseMs: leaseMs * 2, kill',
      },
    ],
  },
  {
    name: 'lease-counted-from-the-answer',
    breaks: 'a worker counts its lease from when the answer came, not from when it asked',
    runsOn: 'simulation',
    patches: [
      {
        file: `${RUNTIME}/loops.ts`,
        find: 'lease.renewed(sentAt, outcome.value.leaseMs);',
        replace: 'lease.renewed(clock.now(), outcome.value.leaseMs);',
      },
    ],
  },
  {
    name: 'launcher-without-deadline',
    breaks: 'nothing kills the tasks of a worker process that is paused past its lease',
    runsOn: 'simulation',
    patches: [
      {
        file: `${RUNTIME}/lease.ts`,
        find: 'deadline.set(machine + (endsAt - slackMs() / 2 - clock.now()));',
        replace: 'deadline.set(machine > 0 ? undefined : 0);',
      },
    ],
  },
  {
    name: 'report-dropped-on-reconnect',
    breaks: 'a report whose answer was lost is not sent again',
    runsOn: 'simulation',
    patches: [{ file: `${RUNTIME}/reporter.ts`, find: '    this.#queue.putBack(batch);\n', replace: '' }],
  },
  {
    name: 'token-check-skipped',
    breaks: 'a worker starts whatever it is sent, whether it has had that token before or not',
    runsOn: 'simulation',
    patches: [
      { file: `${RUNTIME}/tokens.ts`, find: 'isDone: (token) => done.has(token),', replace: 'isDone: () => false,' },
      { file: `${RUNTIME}/tokens.ts`, find: 'isHeld: (token) => held.has(token),', replace: 'isHeld: () => false,' },
      {
        file: `${RUNTIME}/attempt-desk.ts`,
        find: 'if (tokens.isHeld(token) || reporter.isPending(token)) return;',
        replace: '',
      },
    ],
  },
  {
    name: 'clock-jump-believed',
    breaks: "leases expire although the database's clock has just jumped ahead",
    runsOn: 'simulation',
    patches: [
      {
        file: `${MASTER}/due.ts`,
        find: 'await store.workers.expire(forMs, asOfMs)',
        replace: 'await store.workers.expire(forMs >= 0 ? Infinity : 0, asOfMs + 1e9)',
      },
    ],
  },
  {
    name: 'outbox-lost-with-the-gateway',
    breaks: 'what was bound to a worker and never reached it is not sent again',
    runsOn: 'simulation',
    patches: [
      {
        file: `${MASTER}/gateway/reconcile.ts`,
        find: '  for (const { attempt, result } of await buildAssignments(context, lacking)) {',
        replace: '  for (const { attempt, result } of await buildAssignments(context, lacking.slice(0, 0))) {',
      },
    ],
  },
  {
    name: 'lost-subtask-gets-another-address',
    breaks: "F5: a dead worker's subtask of a broadcast is bound to another worker, which has run its own",
    runsOn: 'simulation',
    patches: [
      {
        file: 'packages/core/src/engine/broadcast.ts',
        find: "if (state === 'failed' && end !== 'lost') found",
        replace: "if (state === 'lost' || (state === 'failed' && end !== 'lost')) found",
      },
      {
        file: 'packages/core/src/engine/broadcast.ts',
        find: 'if (windingUp || attempt.attempt > retry.max || tooMany',
        replace: "if (windingUp || attempt.attempt > (event.end === 'lost' ? 9 : retry.max) || tooMany",
      },
      {
        file: 'packages/store/src/postgres/engine/step/write-broadcasts.ts',
        find: '             from wanted\n',
        replace: `             from (select w.instance_id, w.task, w.generation, w.attempt, w.index, w.state, w.delay_ms, w.nonce,
                          case when exists (select from worker_incarnation i where i.id = w.incarnation_id and i.state <> 'dead') then w.incarnation_id
                               else coalesce((select max(id) from worker_incarnation where state = 'live'), w.incarnation_id) end as incarnation_id
                     from wanted w) wanted\n`,
      },
      {
        file: `${MEMORY}/broadcasts.ts`,
        find: '      const row = subtaskRow(it, wanted);',
        replace: `      const ofOld = (one: { id: string; state: string }): boolean => one.id === wanted.incarnation_id && one.state !== 'dead';
      const live = it.all(tables.worker_incarnation, (one) => one.state === 'live')[0]?.row.id;
      const other = it.all(tables.worker_incarnation, ofOld).length > 0 ? undefined : live;
      const row = subtaskRow(it, { ...wanted, incarnation_id: other ?? wanted.incarnation_id });`,
      },
    ],
  },
  {
    name: 'cut-off-master-keeps-its-locks',
    breaks: 'nothing frees the row locks of a process that was stopped in the middle of a transaction',
    runsOn: 'postgres',
    patches: [
      {
        file: 'packages/store/src/postgres/connection/connection.ts',
        find: "  idle_in_transaction_session_timeout: '3000',\n",
        replace: '',
      },
    ],
  },
];
