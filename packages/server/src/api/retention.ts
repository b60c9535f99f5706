import { formatDuration, parseDuration } from '@keelson/core';
import { ApiError, putRetentionRequest, retentionPolicy, retentionRun, runRetentionRequest } from '@keelson/protocol';
import type { RetentionPolicy } from '@keelson/protocol';
import type { Keep, RetentionChanges, Retention, Removed } from '@keelson/store';
import type { Api, ApiDeps } from './deps.ts';

/** A request is to be answered before a proxy loses patience; the caller asks again for the rest. */
const RUN_WITHIN_MS = 15_000;

export function retentionRoutes(api: Api, { store: { retention }, log }: ApiDeps): void {
  api.get(
    '/api/v1/retention',
    {
      config: { permission: 'retention:read' },
      schema: { summary: 'Say for how long what is kept', response: { 200: retentionPolicy } },
    },
    () => policyOf(retention),
  );
  api.put(
    '/api/v1/retention',
    {
      config: { permission: 'retention:write' },
      schema: {
        summary: 'Set rules of the installation, or of a project',
        body: putRetentionRequest,
        response: { 200: retentionPolicy },
      },
    },
    async ({ body: { project, keep }, caller }) => {
      const by = caller?.name ?? '';
      await retention.set(project, changesOf(keep), by);
      log.info({ project, keep, by }, 'the rules of retention were changed');
      return policyOf(retention);
    },
  );
  api.post(
    '/api/v1/retention/run',
    {
      config: { permission: 'retention:write' },
      schema: {
        summary: 'Remove now what is past its time, or say how much that is',
        body: runRetentionRequest,
        response: { 200: retentionRun },
      },
    },
    async ({ body: { dryRun } }) => {
      if (dryRun) return { outcome: 'dry-run' as const, removed: await retention.due(), more: false };
      const began = performance.now();
      const outcome = await retention.run({ stopped: () => performance.now() - began > RUN_WITHIN_MS });
      if (outcome.kind === 'done') return { outcome: 'done' as const, removed: outcome.removed, more: outcome.more };
      return { outcome: 'busy' as const, removed: NOTHING, more: true };
    },
  );
}

const NOTHING: Removed = {
  instances: 0,
  partitions: 0,
  logs: 0,
  fires: 0,
  alerts: 0,
  commandErrors: 0,
  workers: 0,
  blobs: 0,
  blobBytes: 0,
};

function changesOf(keep: Readonly<Record<string, string | undefined>>): RetentionChanges {
  return Object.fromEntries(
    Object.entries(keep).flatMap(([subject, text]) => (text === undefined ? [] : [[subject, parsed(subject, text)]])),
  );
}

function parsed(subject: string, text: string): Keep | 'inherit' {
  if (text === 'inherit') return 'inherit';
  if (text === 'forever') return null;
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new ApiError(
    'invalid-request',
    `keep.${subject}: ${JSON.stringify(text)} is neither a duration (90d, 12h) nor forever`,
  );
}

const textOf = (keep: Keep): string => (keep === null ? 'forever' : formatDuration(keep));

async function policyOf(retention: Retention): Promise<RetentionPolicy> {
  const { installation, projects, lastRun } = await retention.policy();
  const texts = (rules: object) =>
    Object.fromEntries(Object.entries(rules).map(([subject, keep]) => [subject, textOf(keep as Keep)]));
  return {
    installation: texts(installation) as RetentionPolicy['installation'],
    projects: Object.fromEntries(Object.entries(projects).map(([name, rules]) => [name, texts(rules)])),
    lastRun: lastRun && { ...lastRun, removed: { ...lastRun.removed } },
  };
}
