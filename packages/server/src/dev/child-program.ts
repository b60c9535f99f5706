import type { ChildAnswer, ChildSettings } from './child-settings.ts';
import { isSettings } from './child-settings.ts';

/** What runs in a process of `dev`. */
export interface Program {
  readonly url?: string;
  /** Lets what is under way finish for a moment. */
  leave(): Promise<void>;
}

/**
 * The frame of a process of `dev`: its settings come over the channel, a second message asks it to leave, and the end of the channel is
 * the end of `dev`: there is nobody to report to, and the next `dev` wants its directories and ports.
 */
export function runChild<Kind extends ChildSettings['kind']>(
  kind: Kind,
  start: (settings: Extract<ChildSettings, { kind: Kind }>) => Promise<Program>,
): void {
  process.once('disconnect', orphaned);
  if (!process.connected) orphaned();
  process.once('message', (settings: unknown) => {
    if (!isSettings(kind, settings)) throw new Error('this program is started by keelson dev');
    const starting = start(settings);
    process.once('message', () => void leave(starting));
    starting.then(
      ({ url }) => answer({ kind: 'ready', ...(url === undefined ? {} : { url }) }),
      (error: unknown) => answer(failure(error), () => process.exit(1)),
    );
  });
}

async function leave(starting: Promise<Program>): Promise<void> {
  process.off('disconnect', orphaned);
  try {
    await (await starting).leave();
  } finally {
    process.exit(0);
  }
}

function orphaned(): void {
  process.exit(1);
}

function answer(said: ChildAnswer, then: () => void = () => undefined): void {
  process.send?.(said, undefined, undefined, then);
}

function failure(error: unknown): ChildAnswer {
  const message = error instanceof Error ? error.message : String(error);
  const { code, syscall } = error as { readonly code?: unknown; readonly syscall?: unknown };
  return {
    kind: 'failed',
    message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof syscall === 'string' ? { syscall } : {}),
  };
}
