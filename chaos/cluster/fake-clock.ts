import { existsSync, writeFileSync } from 'node:fs';

/** A wall clock that can be moved while a process runs: libfaketime, where it is installed. */
export interface FakeClock {
  /** What a process must be started with so that its wall clock follows the file. */
  environment(file: string): Record<string, string>;
  /** Moves the clock of who was started with this file; 0 is the truth. */
  move(file: string, seconds: number): void;
}

const PLACES = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/faketime/libfaketimeMT.so.1',
  '/usr/lib64/faketime/libfaketimeMT.so.1',
  '/usr/local/lib/faketime/libfaketimeMT.so.1',
];

const library = PLACES.find((place) => existsSync(place));

/** Undefined where libfaketime is not installed. */
export const FAKE_CLOCK: FakeClock | undefined =
  library === undefined
    ? undefined
    : {
        environment: (file) => {
          setClock(file, 0);
          return {
            LD_PRELOAD: library,
            FAKETIME_TIMESTAMP_FILE: file,
            // Seconds until a moved clock is noticed.
            FAKETIME_CACHE_DURATION: '1',
            FAKETIME_DONT_FAKE_MONOTONIC: '1',
            FAKETIME_DONT_RESET: '1',
          };
        },
        move: setClock,
      };

function setClock(file: string, seconds: number): void {
  writeFileSync(file, `${seconds < 0 ? '' : '+'}${seconds}\n`);
}
