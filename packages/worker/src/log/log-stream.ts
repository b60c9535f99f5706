import { createByteQueue, type ByteQueue } from './byte-queue.ts';
import { createMasker, type Masker } from './masker.ts';
import { createOutputLimit, leftOutMark, type OutputLimit, type OutputLimits } from './output-limit.ts';

/** Bytes that wait to be shipped, of all logs of a worker together, and how many may. */
export interface LogBudget {
  used: number;
  readonly most: number;
}

/** What is written to a log, on its way to being shipped: bounded, masked, waiting in a queue. */
export interface LogStream {
  /** Masked bytes that wait. The budget counts them until `release`. */
  readonly waiting: ByteQueue;
  readonly isUnused: boolean;
  write(chunk: Uint8Array): void;
  /** `bytes` of output were left out before they came here. */
  gap(bytes: number): void;
  /** `bytes` that were taken from the queue are lost: a mark will say so. */
  lose(bytes: number): void;
  /** No more comes: the tail and what was held back join the queue. */
  end(): void;
  /** `bytes` need no memory any more. */
  release(bytes: number): void;
}

/** Opens a stream; it takes no memory worth the name until something is written. */
export function openLogStream(limits: OutputLimits, budget: LogBudget, secrets: readonly string[]): LogStream {
  const waiting = createByteQueue();
  let limit: OutputLimit | undefined;
  let masker: Masker | undefined;
  let lost = 0;

  function queue(bytes: Uint8Array): void {
    waiting.push(bytes);
    budget.used += bytes.length;
  }

  function markLost(): void {
    if (lost > 0) queue(Buffer.from(leftOutMark(lost, 'lost: the server did not take the log fast enough')));
    lost = 0;
  }

  function push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (budget.used + bytes.length > budget.most) {
      lost += bytes.length;
      return;
    }
    markLost();
    queue(bytes);
  }

  return {
    waiting,
    get isUnused() {
      return limit === undefined && lost === 0;
    },
    write(chunk) {
      limit ??= createOutputLimit(limits);
      masker ??= createMasker(secrets);
      push(masker.write(limit.write(chunk)));
    },
    gap(bytes) {
      limit ??= createOutputLimit(limits);
      masker ??= createMasker(secrets);
      limit.skip(bytes);
    },
    lose: (bytes) => void (lost += bytes),
    end() {
      if (limit !== undefined && masker !== undefined) {
        const { leftOut, tail } = limit.end();
        if (leftOut > 0) {
          queue(masker.cut());
          queue(Buffer.from(leftOutMark(leftOut)));
        }
        push(masker.write(tail));
        push(masker.end());
      }
      markLost();
    },
    release: (bytes) => void (budget.used -= bytes),
  };
}
