import { setTimeout } from 'node:timers/promises';
import type { BackfillDetail } from '@keelson/protocol';
import { KeelsonConnectionError } from '@keelson/sdk/client';
import type { KeelsonClient } from '@keelson/sdk/client';
import { EXIT } from '../exit-codes.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { painter, remark } from '../terminal/terminal.ts';
import { progressText } from './lines.ts';

const POLL_MS = 500;
/** How often progress is said. */
const REMARK_MS = 2000;
/** A server that is being restarted is waited for. */
const AWAY_MS = 120_000;

/** Looks at a backfill until nothing of it is under way any more. Ctrl-C leaves it alone. */
export async function waitForBackfill(
  client: KeelsonClient,
  id: string,
  terminal: Terminal,
  quiet: boolean,
): Promise<BackfillDetail> {
  const paint = painter(terminal.stderr, terminal.env);
  const stopListening = terminal.onSignal(['SIGINT', 'SIGTERM'], () => {
    remark(
      terminal,
      `Backfill ${id} goes on.  Look at it: keelson backfill show ${id}    End it: keelson backfill cancel ${id}`,
    );
    terminal.exit(EXIT.interrupted);
  });
  let shown = '';
  let state: BackfillDetail['state'] | undefined;
  let shownAt = 0;
  let awaySince: number | undefined;
  try {
    for (;;) {
      const found = await client.getBackfill(id).catch((error: unknown) => {
        if (!(error instanceof KeelsonConnectionError)) throw error;
        awaySince ??= performance.now();
        if (performance.now() - awaySince > AWAY_MS) throw error;
        return undefined;
      });
      if (found !== undefined) {
        awaySince = undefined;
        const text = `${found.state}: ${progressText(found, paint)}`;
        const isNews = text !== shown && (found.state !== state || performance.now() - shownAt >= REMARK_MS);
        if (isNews || found.endedAt !== null) {
          if (!quiet && text !== shown) remark(terminal, text);
          [shown, state, shownAt] = [text, found.state, performance.now()];
        }
        if (found.endedAt !== null) return found;
      }
      await setTimeout(POLL_MS);
    }
  } finally {
    stopListening();
  }
}
