import { createInterface } from 'node:readline';
import type { Terminal } from '../terminal/terminal.ts';

/** Asks a person; anything but a yes is a no. */
export function confirm(terminal: Terminal, question: string): Promise<boolean> {
  const lines = createInterface({ input: terminal.stdin, output: terminal.stderr });
  return new Promise((resolve) => {
    // Ctrl-C and the end of the input are a no.
    lines.once('close', () => resolve(false));
    lines.question(`${question} [y/N] `, (answer) => {
      resolve(/^\s*y(?:es)?\s*$/i.test(answer));
      lines.close();
    });
  });
}

/** Whether somebody sits there who can be asked. */
export function canAsk(terminal: Terminal): boolean {
  return terminal.stdin.isTTY === true && terminal.stdout.isTTY === true;
}
