import { EXIT } from './exit-codes.ts';
import type { Terminal } from './terminal/terminal.ts';
import { remark } from './terminal/terminal.ts';

export interface StopRequest {
  /** Resolves at the first SIGTERM or SIGINT. */
  readonly asked: Promise<void>;
  /** Ends listening. */
  release(): void;
}

/** The first signal asks for a clean end, and says so; the second one ends the process at once. */
export function stopOnSignal(terminal: Terminal, words: string): StopRequest {
  const { promise, resolve } = Promise.withResolvers<void>();
  let count = 0;
  const release = terminal.onSignal(['SIGINT', 'SIGTERM'], (signal) => {
    count += 1;
    if (count > 1) return terminal.exit(signal === 'SIGTERM' ? 143 : EXIT.interrupted);
    remark(terminal, words);
    resolve();
  });
  return { asked: promise, release };
}
