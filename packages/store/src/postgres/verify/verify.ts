import type { WorkflowDefinition } from '@keelson/core';
import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import type { VerifiedBatch, Verifier, VerifyOptions, Violation } from '../../verify.ts';
import { compareInstance } from './compare.ts';
import { verifyFires } from './fires.ts';
import { lastIdOf, readBatch } from './read.ts';
import type { StoredBatch } from './read.ts';
import { tokenSet } from './tokens.ts';
import type { TokenSet } from './tokens.ts';

const MOST_VERSIONS = 500;

export function createVerifier(pool: pg.Pool): Verifier {
  return {
    verify: (options = {}) => verify(pool, options),
  };
}

async function* verify(pool: pg.Pool, options: VerifyOptions): AsyncGenerator<VerifiedBatch> {
  const definitions = new LRUCache<string, WorkflowDefinition>({ max: MOST_VERSIONS });
  const tokens = tokenSet();
  // What is started later is for the next run: else a busy system would never be through.
  const last = await lastIdOf(pool);
  let next = readBatch(pool, options, '0', last);
  for (;;) {
    const batch = await next;
    if (batch === undefined) break;
    next = readBatch(pool, options, batch.lastId, last);
    // Awaited in the next round; an error of it must not count as unhandled while this batch is at work.
    next.catch(() => undefined);
    await loadDefinitions(pool, definitions, batch);
    yield compareBatch(batch, definitions, tokens);
  }
  for await (const violations of verifyFires(pool, options, last))
    if (violations.length > 0) yield { instances: 0, events: 0, violations };
}

function compareBatch(
  { instances, strays }: StoredBatch,
  definitions: LRUCache<string, WorkflowDefinition>,
  tokens: TokenSet,
): VerifiedBatch {
  const violations: Violation[] = strays.map(({ instanceId, place }) => ({
    instanceId,
    task: null,
    check: 'instance',
    expected: 'a row of workflow_instance',
    found: `none, but rows in ${place}`,
  }));
  let events = 0;
  for (const stored of instances) {
    for (const entry of stored.history) events += entry.events.length;
    const definition = definitions.get(stored.versionId);
    if (definition === undefined)
      violations.push({
        instanceId: stored.id,
        task: null,
        check: 'version',
        expected: `version ${stored.versionId}`,
        found: 'no row',
      });
    else violations.push(...compareInstance(stored, definition, (id) => definitions.get(id)));
    for (const { task, token } of tokensOf(stored))
      if (!tokens.add(token))
        violations.push({
          instanceId: stored.id,
          task,
          check: 'token',
          expected: 'a fencing token is given once',
          found: `${token} is that of another attempt too`,
        });
  }
  return { instances: instances.length, events, violations };
}

function* tokensOf({
  finished,
  earlier,
  subtasks,
  active,
}: StoredBatch['instances'][number]): Generator<{ task: string; token: string }> {
  for (const { task, attempt_id, carried_from = null } of [...finished, ...earlier, ...subtasks])
    if (attempt_id !== null && carried_from === null) yield { task, token: attempt_id };
  for (const { task, id } of active) yield { task, token: id };
}

async function loadDefinitions(
  pool: pg.Pool,
  definitions: LRUCache<string, WorkflowDefinition>,
  { instances }: StoredBatch,
): Promise<void> {
  const versions = instances.flatMap(({ versionId, generations }) => [
    versionId,
    ...generations.map(({ version_id }) => version_id),
  ]);
  const strangers = new Set(versions.filter((id) => !definitions.has(id)));
  if (strangers.size === 0) return;
  const { rows } = await pool.query<{ id: string; definition: WorkflowDefinition }>(
    'select id, definition from workflow_version where id = any($1::bigint[])',
    [[...strangers]],
  );
  for (const { id, definition } of rows) definitions.set(id, definition);
}
