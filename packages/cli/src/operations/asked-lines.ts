import type { HistoryEntry } from '@keelson/protocol';
import { MAX_PAGE } from '@keelson/protocol';
import { allItems } from '@keelson/sdk/client';
import type { KeelsonClient } from '@keelson/sdk/client';
import type { Paint } from '../terminal/terminal.ts';
import { localTime, plain } from '../terminal/text.ts';

type HistoryEvent = HistoryEntry['events'][number];

const MOST = 10;

/** What people have asked of an instance since its start, the last ones of it: when, what, who. */
export async function askedLines(client: KeelsonClient, id: string, paint: Paint): Promise<string[]> {
  const lines: string[] = [];
  for await (const { at, events } of allItems((cursor) =>
    client.getHistory(id, { asked: true, limit: MAX_PAGE, ...(cursor !== undefined && { cursor }) }),
  )) {
    for (const event of events) {
      const words = wordsOf(event);
      if (words !== undefined) lines.push(`    ${paint('dim', localTime(at))}  ${plain(words)}`);
    }
  }
  if (lines.length === 0) return [];
  const earlier = lines.length - MOST;
  return [
    `  ${paint('dim', 'asked of it:')}`,
    ...(earlier > 0 ? [paint('dim', `    … ${earlier} earlier`)] : []),
    ...lines.slice(-MOST),
  ];
}

function wordsOf(event: HistoryEvent): string | undefined {
  switch (event.type) {
    case 'pause-requested':
      return `pause by ${event.by}`;
    case 'resumed':
      return `resume by ${event.by}`;
    case 'stop-requested':
      return `stop by ${event.by}`;
    case 'skip-requested':
      return `skip ${event.task} by ${event.by}`;
    case 'priority-set':
      return `priority ${event.priority} by ${event.by}`;
    case 'generation-created':
      return `generation ${event.generation}: ${modeWords(event)} by ${event.by}`;
    case 'operation-refused':
      return `${event.operation}${event.task === undefined ? '' : ` ${event.task}`} by ${event.by} came too late: ${event.reason.message}`;
    default:
      return undefined;
  }
}

function modeWords({ mode, task }: HistoryEvent & { readonly type: 'generation-created' }): string {
  switch (mode) {
    case 'from':
      return `rerun from ${task}`;
    case 'only':
      return `rerun of ${task} only`;
    case 'force-success':
      return `success of ${task} forced`;
    default:
      return mode;
  }
}
