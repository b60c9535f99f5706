import type { Readable, Writable } from 'node:stream';
import { styleText } from 'node:util';

export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };
export type InputStream = Readable & { readonly isTTY?: boolean };
export type Style = Parameters<typeof styleText>[0];

/** The world around a command: given by the process, or by a test. */
export interface Terminal {
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Calls back at each signal until the returned function is called. */
  onSignal(signals: readonly NodeJS.Signals[], callback: (signal: NodeJS.Signals) => void): () => void;
  /** Leaves at once, whatever is still open. */
  exit(code: number): void;
}

export function processTerminal(): Terminal {
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    onSignal(signals, callback) {
      for (const signal of signals) process.on(signal, callback);
      return () => {
        for (const signal of signals) process.off(signal, callback);
      };
    },
    exit(code) {
      // oxlint-disable-next-line unicorn/no-process-exit
      process.exit(code);
    },
  };
}

/** Whether text sent there may carry colours: NO_COLOR and FORCE_COLOR count before what the stream is. */
export function hasColors(stream: OutputStream, env: Terminal['env']): boolean {
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined && forced !== '') return forced !== '0' && forced !== 'false';
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}

export type Paint = (style: Style, text: string) => string;

/** Colours text for one stream, or leaves it as it is. */
export function painter(stream: OutputStream, env: Terminal['env']): Paint {
  if (!hasColors(stream, env)) return (_style, text) => text;
  return (style, text) => styleText(style, text, { validateStream: false });
}

/** Writes lines to standard output. */
export function printLines(terminal: Terminal, lines: string | readonly string[]): void {
  const text = typeof lines === 'string' ? lines : lines.join('\n');
  if (text !== '' || typeof lines === 'string') terminal.stdout.write(`${text}\n`);
}

export function printJson(terminal: Terminal, value: unknown): void {
  terminal.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** A remark that is no part of the data, so that `--json` and pipes stay clean. */
export function remark(terminal: Terminal, text: string): void {
  terminal.stderr.write(`${text}\n`);
}
