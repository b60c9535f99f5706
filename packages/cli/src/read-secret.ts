import type { ReadStream } from 'node:tty';
import { usageFailure } from './failure.ts';
import type { Terminal } from './terminal/terminal.ts';

const MOST_BYTES = 64 * 1024;

/**
 * Reads a value that must not stand on a command line: from a pipe, without its last line end; from a terminal, unseen.
 * It may be empty.
 */
export async function readSecret(terminal: Terminal, what: string): Promise<string> {
  return terminal.stdin.isTTY === true ? askUnseen(terminal, what) : readAll(terminal, what);
}

async function readAll(terminal: Terminal, what: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of terminal.stdin as AsyncIterable<Buffer | string>) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    size += bytes.length;
    if (size > MOST_BYTES) throw usageFailure(`${what} on standard input is longer than ${MOST_BYTES} bytes`);
    chunks.push(bytes);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw usageFailure(`${what} on standard input is not UTF-8 text`, 'a binary value can be stored as base64');
  }
  return text.replace(/\r?\n$/, '');
}

async function askUnseen(terminal: Terminal, what: string): Promise<string> {
  const stdin = terminal.stdin as ReadStream;
  terminal.stderr.write(`${what} (not shown): `);
  stdin.setRawMode(true);
  try {
    return await typedLine(terminal);
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    terminal.stderr.write('\n');
  }
}

/** In raw mode the terminal hands over keys: Enter ends, Backspace takes back, Ctrl-C and Ctrl-D leave. */
async function typedLine(terminal: Terminal): Promise<string> {
  let typed: string[] = [];
  terminal.stdin.setEncoding('utf8');
  for await (const keys of terminal.stdin as AsyncIterable<string>) {
    for (const key of keys) {
      if (key === '\r' || key === '\n') return typed.join('');
      if (key === '\u0003' || key === '\u0004') throw usageFailure('nothing was entered');
      if (key === '\u007f' || key === '\b') typed = typed.slice(0, -1);
      else typed.push(key);
    }
  }
  return typed.join('');
}
