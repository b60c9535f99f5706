import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BroadcastPart } from '@keelson/protocol';

const beforeFile = (root: string): string => join(root, 'broadcast-before.json');
const resultsFile = (root: string): string => join(root, 'broadcast-results.json');

/** What a task sees of the broadcast that it is a part of. Values of any size lie in files, which {@link writeBroadcastFiles} makes. */
export function broadcastEnvironment(part: BroadcastPart | undefined, root: string): Record<string, string> {
  switch (part?.phase) {
    case undefined:
      return {};
    case 'before':
      return { KEELSON_BROADCAST_PHASE: 'before' };
    case 'subtask':
      return {
        KEELSON_BROADCAST_PHASE: 'subtask',
        KEELSON_BROADCAST_INDEX: String(part.index),
        KEELSON_BROADCAST_TOTAL: String(part.total),
        KEELSON_BROADCAST_WORKER: part.worker,
        KEELSON_BROADCAST_BEFORE: beforeFile(root),
      };
    case 'after':
      return {
        KEELSON_BROADCAST_PHASE: 'after',
        KEELSON_BROADCAST_TOTAL: String(part.total),
        KEELSON_BROADCAST_BEFORE: beforeFile(root),
        KEELSON_BROADCAST_RESULTS: resultsFile(root),
      };
  }
}

/** Beside the attempt's directories, out of the way of its own files. Throws the file system's error. */
export function writeBroadcastFiles(part: BroadcastPart | undefined, root: string): void {
  if (part === undefined || part.phase === 'before') return;
  writeFileSync(beforeFile(root), JSON.stringify(part.before), { mode: 0o644 });
  if (part.phase === 'after') writeFileSync(resultsFile(root), JSON.stringify(part.results), { mode: 0o644 });
}
