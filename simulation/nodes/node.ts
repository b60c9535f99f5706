import type { Life } from '../clock/life.ts';

/** A place where one process runs after the other. */
export interface Node {
  readonly name: string;
  /** Starts a process; none runs. */
  boot(): void;
  /** The process that runs, if one does. */
  life(): Life | undefined;
  /** Kills it (SIGKILL). */
  crash(why: string): void;
  /** Asks it to end (SIGTERM); settles when it has. */
  leave(): Promise<void>;
}
