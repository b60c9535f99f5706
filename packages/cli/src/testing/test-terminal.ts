import { PassThrough, Readable, Writable } from 'node:stream';
import type { Terminal } from '../terminal/terminal.ts';

export interface TestTerminal extends Terminal {
  out(): string;
  err(): string;
  /** As the person at the terminal or the system sends it. */
  signal(name: NodeJS.Signals): void;
  /** Codes of `exit` calls, which a test does not follow. */
  readonly exits: readonly number[];
}

export interface TestTerminalOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly stdin?: string;
  readonly tty?: { readonly columns: number; readonly rows: number };
}

export function testTerminal({ env = {}, cwd = '/', stdin = '', tty }: TestTerminalOptions = {}): TestTerminal {
  const outText: string[] = [];
  const errText: string[] = [];
  const listeners = new Set<{ names: readonly NodeJS.Signals[]; callback: (signal: NodeJS.Signals) => void }>();
  const exits: number[] = [];
  const sink = (into: string[]) =>
    Object.assign(
      new Writable({
        decodeStrings: false,
        write(chunk: string | Buffer, _encoding, done) {
          into.push(typeof chunk === 'string' ? chunk : chunk.toString('utf8'));
          done();
        },
      }),
      tty === undefined ? {} : { isTTY: true, ...tty },
    );
  return {
    stdin: stdin === '' ? new PassThrough().end() : Readable.from([Buffer.from(stdin)]),
    stdout: sink(outText),
    stderr: sink(errText),
    env: { NO_COLOR: '1', ...env },
    cwd,
    onSignal(names, callback) {
      const listener = { names, callback };
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    exit: (code) => exits.push(code),
    out: () => outText.join(''),
    err: () => errText.join(''),
    signal(name) {
      for (const { names, callback } of listeners) if (names.includes(name)) callback(name);
    },
    exits,
  };
}
