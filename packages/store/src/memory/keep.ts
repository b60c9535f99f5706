import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { JsonObject, WorkflowDefinition } from '@keelson/core';
import type { FiredVersion } from './execution.ts';
import type { BlobContent, BlobStore } from '../blobs.ts';
import type { FileRef, WorkflowVersion } from '../definitions.ts';
import type { LogPiece } from '../logs.ts';
import { StoreError } from '../store-error.ts';
import type { MasterStore } from '../store.ts';
import type { TokenHolder } from '../tokens.ts';

type Kept = Pick<MasterStore, 'definitions' | 'logs' | 'secrets' | 'datasources' | 'tokens' | 'blobs'>;

/** What masters only read, or keep for others to read: one for all stores of a cluster. No transactions: each call is whole. */
export interface MemoryKeep extends Kept {
  /** A new version, which is the latest one of its workflow. */
  addVersion(definition: WorkflowDefinition, files?: readonly FileRef[]): WorkflowVersion;
  /** Names of its tasks, in the order of the definition. */
  tasksOf(versionId: string): readonly string[];
  versionOf(versionId: string): FiredVersion | undefined;
  holdsToken(id: string): boolean;
  addToken(token: string, holder: TokenHolder): void;
  setSecret(project: string, name: string, value: string): void;
  setDatasource(project: string, name: string, revealed: { config: JsonObject; password?: string }): void;
  /** The bytes of an attempt's log as far as they came without a gap. */
  logOf(attemptId: string): Uint8Array;
}

export function memoryKeep(): MemoryKeep {
  const tokens = new Map<string, TokenHolder>();
  const datasources = new Map<string, { config: JsonObject; password?: string }>();
  const secrets = new Map<string, string>();
  return {
    ...versionKeep(),
    ...logKeep(),
    blobs: blobKeep(),
    tokens: { verify: async (token) => tokens.get(token) },
    holdsToken: (id) => [...tokens.values()].some((holder) => holder.id === id),
    addToken: (token, holder) => void tokens.set(token, holder),
    secrets: {
      reveal: async (project, names) => {
        const found = names.flatMap((name) => {
          const value = secrets.get(`${project}/${name}`);
          return value === undefined ? [] : [[name, value] as const];
        });
        const missing = names.filter((name) => !secrets.has(`${project}/${name}`));
        return { values: Object.fromEntries(found), missing };
      },
    },
    setSecret: (project, name, value) => void secrets.set(`${project}/${name}`, value),
    datasources: { reveal: async (project, name) => datasources.get(`${project}/${name}`) },
    setDatasource: (project, name, revealed) => void datasources.set(`${project}/${name}`, revealed),
  };
}

function versionKeep(): Pick<MemoryKeep, 'definitions' | 'addVersion' | 'tasksOf' | 'versionOf'> {
  const versions = new Map<string, WorkflowVersion>();
  const latest = new Map<string, { readonly workflowId: string; version: number }>();
  return {
    tasksOf: (versionId) => Object.keys(versions.get(versionId)?.definition.tasks ?? {}),
    versionOf: (versionId) => {
      const found = versions.get(versionId);
      if (found === undefined) return undefined;
      const { project, name, definition } = found;
      const taskCount = Object.keys(definition.tasks).length;
      // All of them are of one project as far as calendars go.
      return { projectId: '1', project, workflow: name, taskCount, params: definition.params, projectParams: {} };
    },
    definitions: { versionById: async (versionId) => versions.get(versionId) },
    addVersion: (definition, files = []) => {
      const { project, name } = definition;
      const key = `${project}/${name}`;
      const workflow = latest.get(key) ?? { workflowId: String(latest.size + 1), version: 0 };
      latest.set(key, workflow);
      workflow.version++;
      const source = JSON.stringify(definition);
      const createdAt = new Date(0).toISOString();
      const made: WorkflowVersion = {
        id: String(versions.size + 1),
        version: workflow.version,
        createdBy: 'memory',
        createdAt,
        project,
        name,
        workflowId: workflow.workflowId,
        workflowCreatedAt: createdAt,
        latestVersion: workflow.version,
        definition,
        source,
        files,
        hash: createHash('sha256').update(source).digest('hex'),
      };
      versions.set(made.id, made);
      return made;
    },
  };
}

/** As the log tables do: bytes that are there stay, pieces may overlap and come in any order. */
function logKeep(): Pick<MemoryKeep, 'logs' | 'logOf'> {
  const pieces = new Map<string, Map<number, Uint8Array>>();
  return {
    logs: {
      append: async ({ attemptId, start, data }: LogPiece) => {
        const known = pieces.get(attemptId) ?? new Map<number, Uint8Array>();
        pieces.set(attemptId, known);
        if ((known.get(start)?.length ?? 0) < data.length) known.set(start, Uint8Array.from(data));
      },
    },
    logOf: (attemptId) => {
      let log = new Uint8Array();
      const known = [...(pieces.get(attemptId) ?? [])].toSorted(([one], [other]) => one - other);
      for (const [start, data] of known) {
        const more = start > log.length ? undefined : data.subarray(log.length - start);
        if (more === undefined) break;
        log = Uint8Array.from([...log, ...more]);
      }
      return log;
    },
  };
}

function blobKeep(): BlobStore {
  const blobs = new Map<string, Uint8Array>();
  return {
    put: async (sha256, content) => {
      const bytes = await collect(content);
      const actual = createHash('sha256').update(bytes).digest('hex');
      if (actual !== sha256) throw new StoreError('invalid', 'hash-mismatch', `the bytes are ${actual}, not ${sha256}`);
      blobs.set(sha256, bytes);
      return { size: bytes.length };
    },
    get: async (sha256) => {
      const bytes = blobs.get(sha256);
      return bytes === undefined ? undefined : Readable.from([Buffer.from(bytes)]);
    },
    has: async (names) => new Set(names.filter((name) => blobs.has(name))),
    size: async (sha256) => blobs.get(sha256)?.length,
    // An upload is whole or nothing here.
    sweep: async () => 0,
  };
}

async function collect(content: BlobContent): Promise<Uint8Array> {
  if (content instanceof Uint8Array) return Uint8Array.from(content);
  const pieces: Uint8Array[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces);
}
