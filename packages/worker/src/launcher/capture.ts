import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { createOutputLimit, type OutputLimits } from '../log/output-limit.ts';

/** The output of one process: its head as it comes, its tail at the end. */
export interface Capture {
  /** Head bytes not yet taken. */
  readonly pendingBytes: number;
  /** True once every writer has closed. */
  readonly ended: boolean;
  takeHead(): Buffer[];
  finish(): { readonly head: Buffer[]; readonly leftOut: number; readonly tail: Uint8Array };
  /** Calls back once, when the last writer closes. */
  onEnd(callback: () => void): void;
  /** While paused, a process that prints more than a pipe holds has to wait. */
  pause(): void;
  resume(): void;
}

/** Opens the streams that a capture reads, and hands each chunk to `take`, which copies what it keeps. */
export type CaptureSource = (take: (chunk: Uint8Array) => void) => readonly Readable[];

/** One buffer for all reads of all pipes: what is left out costs no memory at all. */
const readBuffer = Buffer.allocUnsafe(64 * 1024);

/** The read end of a pipe, as a file descriptor; the capture closes it. */
export function fromPipe(fd: number): CaptureSource {
  return (take) => {
    const callback = (length: number): boolean => {
      take(readBuffer.subarray(0, length));
      return true;
    };
    // `onread` belongs to the constructor too, though the type names it for `connect` only.
    const options: object = { fd, readable: true, writable: false, onread: { buffer: readBuffer, callback } };
    const socket = new Socket(options);
    socket.resume();
    return [socket];
  };
}

/** Streams that Node opened. */
export function fromStreams(streams: readonly Readable[]): CaptureSource {
  return (take) => streams.map((stream) => stream.on('data', take));
}

/** Reads a source to its end within the limits; `onHead` is called for each chunk that `takeHead` can take. */
export function capture(source: CaptureSource, limits: OutputLimits, onHead: () => void): Capture {
  const limit = createOutputLimit(limits);
  let head: Buffer[] = [];
  let pendingBytes = 0;
  let ended: (() => void) | undefined;

  const streams = source((chunk) => {
    const kept = limit.write(chunk);
    if (kept.length === 0) return;
    head.push(Buffer.from(kept));
    pendingBytes += kept.length;
    onHead();
  });
  const open = new Set(streams);
  for (const stream of streams) {
    const closed = (): void => {
      if (open.delete(stream) && open.size === 0) ended?.();
    };
    stream.on('end', closed);
    stream.on('close', closed);
    stream.on('error', closed);
  }

  function takeHead(): Buffer[] {
    const taken = head;
    head = [];
    pendingBytes = 0;
    return taken;
  }

  return {
    get pendingBytes() {
      return pendingBytes;
    },
    get ended() {
      return open.size === 0;
    },
    takeHead,
    finish() {
      ended = undefined;
      for (const stream of streams) stream.destroy();
      return { head: takeHead(), ...limit.end() };
    },
    onEnd(callback) {
      if (open.size === 0) callback();
      else ended = callback;
    },
    pause: () => streams.forEach((stream) => stream.pause()),
    resume: () => streams.forEach((stream) => stream.resume()),
  };
}
