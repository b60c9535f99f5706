import assert from 'node:assert/strict';
import { it } from 'node:test';
import { manualClock } from '../testing/manual-clock.ts';
import { watchLease } from './lease.ts';

function setup(leaseMs: number, killGraceMs: number) {
  const clock = manualClock();
  const deadlines: (number | undefined)[] = [];
  let lostAt: number | undefined;
  const lease = watchLease(
    clock,
    { now: () => clock.now(), set: (at) => void deadlines.push(at) },
    killGraceMs,
    clock.now(),
    leaseMs,
    () => (lostAt = clock.now()),
  );
  return { clock, lease, deadlines, lostAt: () => lostAt };
}

it('runs out a kill grace and some slack before its end', async () => {
  const { clock, lostAt } = setup(10_000, 2000);
  await clock.advance(20_000);
  assert.equal(lostAt(), 10_000 - 2000 - 500);
});

it('gives a kill at most a quarter of the lease', async () => {
  const { clock, lease, lostAt } = setup(10_000, 60_000);
  assert.equal(lease.graceMs, 2500);
  await clock.advance(20_000);
  assert.equal(lostAt(), 7000);
});

it('counts from the moment the acknowledged renewal was sent', async () => {
  const { clock, lease, lostAt } = setup(10_000, 2000);
  await clock.advance(5000);
  const sentAt = clock.now();
  await clock.advance(1500);
  lease.renewed(sentAt, 10_000);
  await clock.advance(60_000);
  assert.equal(lostAt(), 5000 + 7500);
});

it('is not shortened by an old answer that comes late', async () => {
  const { clock, lease, lostAt } = setup(10_000, 2000);
  lease.renewed(4000, 10_000);
  lease.renewed(1000, 10_000);
  await clock.advance(60_000);
  assert.equal(lostAt(), 4000 + 7500);
});

it('tells the launcher of each new deadline, and when there is none any more', async () => {
  const { clock, lease, deadlines } = setup(10_000, 2000);
  await clock.advance(1000);
  lease.renewed(1000, 10_000);
  lease.release();
  assert.equal(deadlines.length, 3);
  assert.equal(deadlines[2], undefined);
});
