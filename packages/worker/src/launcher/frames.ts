/**
 * The wire between worker and launcher: two byte streams of frames `u32 length | u8 kind | u32 id | payload`, little
 * endian, where length counts what follows it. Chosen over Node's IPC channel: 5 µs of the worker's processor time for
 * each exchange against 7 µs, and output bytes travel as they are.
 */
export interface Frame {
  readonly kind: number;
  /** The process that the frame is about; 0 for the launcher itself. */
  readonly id: number;
  readonly payload: Buffer;
}

const HEADER = 9;
/** A frame carries at most one process's whole output; anything longer is a broken stream. */
const MAX_FRAME = 1 << 30;

/** One frame as bytes; the payload's parts are copied into it. */
export function encodeFrame(kind: number, id: number, ...parts: readonly Uint8Array[]): Buffer {
  let size = HEADER;
  for (const part of parts) size += part.length;
  const frame = Buffer.allocUnsafe(size);
  frame.writeUInt32LE(size - 4, 0);
  frame[4] = kind;
  frame.writeUInt32LE(id, 5);
  let at = HEADER;
  for (const part of parts) {
    frame.set(part, at);
    at += part.length;
  }
  return frame;
}

/** Cuts a stream into frames. The payload is only good during the call. Throws on a broken stream. */
export function createFrameReader(onFrame: (frame: Frame) => void): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let held = 0;
  let wanted = 4;
  return (chunk) => {
    chunks.push(chunk);
    held += chunk.length;
    if (held < wanted) return;
    const bytes = chunks.length === 1 ? chunk : Buffer.concat(chunks, held);
    let at = 0;
    wanted = 4;
    while (bytes.length - at >= 4) {
      const length = bytes.readUInt32LE(at);
      if (length < HEADER - 4 || length > MAX_FRAME)
        throw new Error(`broken launcher stream: a frame of ${length} bytes`);
      if (bytes.length - at - 4 < length) {
        wanted = 4 + length;
        break;
      }
      onFrame({
        kind: bytes.readUInt8(at + 4),
        id: bytes.readUInt32LE(at + 5),
        payload: bytes.subarray(at + HEADER, at + 4 + length),
      });
      at += 4 + length;
    }
    held = bytes.length - at;
    chunks = held === 0 ? [] : [bytes.subarray(at)];
  };
}
