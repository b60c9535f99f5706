import { openAsBlob } from 'node:fs';
import type { ApplyResponse, RestDefinitionIssue } from '@keelson/protocol';
import type { KeelsonClient } from '@keelson/sdk/client';
import { KeelsonApiError } from '@keelson/sdk/client';
import { AlreadyShown } from '../failure.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson } from '../terminal/terminal.ts';
import { findDefinitions } from './find-definitions.ts';
import type { Prepared } from './prepare.ts';
import { prepare } from './prepare.ts';
import { showIssues, showSkipped } from './show-issues.ts';
import type { BlobSource } from './version-files.ts';

/** Reads and checks what is to be published. Shows what is wrong and throws when there is an error. */
export async function prepareToPublish(terminal: Terminal, paths: readonly string[], json: boolean): Promise<Prepared> {
  const found = await findDefinitions(terminal.cwd, paths);
  const prepared = await prepare(terminal.cwd, found.definitions);
  const valid = !prepared.issues.some(({ severity }) => severity === 'error');
  if (!json) {
    showSkipped(terminal, found.skipped);
    showIssues(terminal, prepared, prepared.issues);
  }
  if (valid) return prepared;
  if (json) printJson(terminal, { valid, issues: prepared.issues });
  throw new AlreadyShown();
}

/** Asks what publishing would change. The server checks all over again. */
export async function planBundle(
  client: KeelsonClient,
  terminal: Terminal,
  prepared: Prepared,
  json: boolean,
): Promise<ApplyResponse> {
  return refusedIssuesShown(terminal, prepared, json, () =>
    client.apply({ workflows: bundleOf(prepared), dryRun: true }),
  );
}

/** Uploads the files that the server has not got, then publishes all workflows or none. */
export async function publishBundle(
  client: KeelsonClient,
  terminal: Terminal,
  prepared: Prepared,
  json: boolean,
): Promise<ApplyResponse> {
  const blobs = blobsOf(prepared);
  if (blobs.size > 0) {
    const { missingBlobs } = await planBundle(client, terminal, prepared, json);
    for (const sha256 of missingBlobs) {
      const source = blobs.get(sha256);
      if (source !== undefined)
        await client.putBlob(sha256, source.kind === 'bytes' ? source.bytes : await openAsBlob(source.path));
    }
  }
  return refusedIssuesShown(terminal, prepared, json, () => client.apply({ workflows: bundleOf(prepared) }));
}

function bundleOf({ workflows }: Prepared) {
  return workflows.map(({ file, source, contents }) => ({
    file,
    source,
    files: contents.map((content) => content.file),
  }));
}

function blobsOf({ workflows }: Prepared): Map<string, BlobSource> {
  return new Map(
    workflows.flatMap(({ contents }) =>
      contents.map(({ file, source }): [string, BlobSource] => [file.sha256, source]),
    ),
  );
}

/** A newer or older server may refuse what this command accepts: its issues are shown in the same way. */
async function refusedIssuesShown<Answer>(
  terminal: Terminal,
  prepared: Prepared,
  json: boolean,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof KeelsonApiError) || error.issues.length === 0 || json) throw error;
    showIssues(
      terminal,
      prepared,
      error.issues.map((issue) => withoutMeaninglessPlace(issue, prepared.generated)),
    );
    throw new AlreadyShown();
  }
}

/** The place in JSON that a module made means nothing to its author. */
function withoutMeaninglessPlace(issue: RestDefinitionIssue, generated: ReadonlySet<string>): RestDefinitionIssue {
  if (issue.file === undefined || !generated.has(issue.file)) return issue;
  const { line: _line, column: _column, ...rest } = issue;
  return rest;
}
