import { runWorker } from '@keelson/sdk';
import type { Processor } from '@keelson/sdk';

/**
 * A worker of your own: functions of this program become tasks. They run in this process, so that they share its
 * connections, caches and code, and start in less than a millisecond.
 *
 *   export KEELSON_URL=http://127.0.0.1:7400 KEELSON_TOKEN=$(npx keelson token create --role worker)
 *   npx node examples/processor/worker.ts
 */
const splitWords: Processor = ({ args }) => {
  const { text } = args as { text: string };
  return { words: text.toLowerCase().match(/\p{L}+/gu) ?? [] };
};

const countWords: Processor = ({ args, log, progress, signal }) => {
  const { words } = args as { words: string[] };
  const counts = new Map<string, number>();
  for (const [index, word] of words.entries()) {
    // Stop, timeout and shutdown abort the signal; a function that can take long should look at it.
    signal.throwIfAborted();
    counts.set(word, (counts.get(word) ?? 0) + 1);
    progress((index + 1) / words.length, `word ${index + 1} of ${words.length}`);
  }
  const ranked = [...counts].toSorted(([a, m], [b, n]) => n - m || a.localeCompare(b));
  log.info(`${words.length} words, ${counts.size} different ones`);
  return { total: words.length, most: ranked.slice(0, 3).map(([word, count]) => ({ word, count })) };
};

await runWorker({ processors: { 'split-words': splitWords, 'count-words': countWords } });
