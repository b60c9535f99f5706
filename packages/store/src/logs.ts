/** The log of one attempt. */
export interface LogName {
  readonly instanceId: string;
  readonly attemptId: string;
}

export interface LogPiece extends LogName {
  /** Byte offset of the first byte. */
  readonly start: number;
  readonly data: Uint8Array;
}

/** Bytes without a gap. `from` is above what was asked for when the bytes before it were lost; read on at `next`. */
export interface LogSlice {
  readonly from: number;
  readonly data: Uint8Array;
  readonly next: number;
}

export interface Logs {
  /** Bytes that are there already are kept; pieces may overlap and come in any order. */
  append(piece: LogPiece): Promise<void>;
  /** At most `limit` bytes from offset `from`; no data when there is nothing from there on (yet). */
  read(name: LogName, range: { readonly from: number; readonly limit: number }): Promise<LogSlice>;
  /** The last bytes, at most `limit` of them. */
  tail(name: LogName, limit: number): Promise<LogSlice>;
  /** Offset behind the last byte. */
  size(name: LogName): Promise<number>;
  /**
   * Calls `more` after bytes were appended, by whichever process, and whenever that may have been missed; never with the
   * bytes: read them. Answers how to end it, once it watches for certain.
   */
  watch(attemptId: string, more: () => void): Promise<() => void>;
}
